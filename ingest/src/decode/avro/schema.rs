//! An Avro schema as its writer registered it, reduced to what reading needs: numbered types with
//! resolved names.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The types of one schema. References are resolved to numbers, so that a type may contain itself.
#[derive(Debug)]
pub struct AvroSchema {
    pub(super) types: Vec<AvroType>,
    pub(super) root: usize,
}

/// A type, by what its values become here. Logical types that change nothing are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AvroType {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Text,
    /// 16 bytes.
    Uuid,
    /// An int of days since 1970.
    Date,
    /// A long of these units since 1970 UTC.
    Instant(TimeUnit),
    /// A long of these units in an unknown time zone.
    Local(TimeUnit),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<(String, usize)>),
}

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Millis,
    Micros,
    Nanos,
}

impl TimeUnit {
    /// Converts to microseconds. Finer digits are dropped, and a value that does not fit becomes
    /// the greatest or least one.
    pub(super) fn micros(self, value: i64) -> i64 {
        match self {
            Self::Millis => value.saturating_mul(1000),
            Self::Micros => value,
            Self::Nanos => value.div_euclid(1000),
        }
    }
}

impl AvroSchema {
    /// Parses a schema's JSON. `referenced` are the schemas that define types it uses, each after
    /// those that it needs itself.
    ///
    /// # Errors
    /// Fails with a message for people.
    pub fn parse(text: &str, referenced: &[String]) -> Result<Self, String> {
        let mut builder = SchemaBuilder { types: Vec::new(), names: HashMap::new() };
        for text in referenced {
            builder.parse_text(text)?;
        }
        let root = builder.parse_text(text)?;
        Ok(Self { types: builder.types, root })
    }
}

/// Collects the types of a schema.
struct SchemaBuilder {
    types: Vec<AvroType>,
    /// The named types by their full names.
    names: HashMap<String, usize>,
}

impl SchemaBuilder {
    fn parse_text(&mut self, text: &str) -> Result<usize, String> {
        let json: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))?;
        self.add(&json, "")
    }

    /// Adds a type inside of a namespace, and returns its number.
    fn add(&mut self, json: &Value, namespace: &str) -> Result<usize, String> {
        match json {
            Value::String(name) => self.resolve(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.add(branch, namespace));
                let branches = branches.collect::<Result<_, _>>()?;
                Ok(self.push(AvroType::Union(branches)))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(name)) => self.complex(name, object, namespace),
                Some(inner) => self.add(inner, namespace),
                None => Err("a type without \"type\"".to_owned()),
            },
            other => Err(format!("{other} is no type")),
        }
    }

    fn push(&mut self, avro_type: AvroType) -> usize {
        self.types.push(avro_type);
        self.types.len() - 1
    }

    /// Returns the number of a primitive type, or of one that was defined before.
    fn resolve(&mut self, name: &str, namespace: &str) -> Result<usize, String> {
        if let Some(primitive) = primitive(name) {
            return Ok(self.push(primitive));
        }
        let known = self.names.get(&full_name(name, namespace)).or_else(|| self.names.get(name));
        known.copied().ok_or_else(|| format!("the type {name} is not defined"))
    }

    fn complex(
        &mut self,
        name: &str,
        json: &Map<String, Value>,
        namespace: &str,
    ) -> Result<usize, String> {
        let attribute =
            |key: &str| json.get(key).ok_or_else(|| format!("a type {name} without \"{key}\""));
        match name {
            "record" | "error" => self.record(json, namespace),
            "enum" => {
                let symbols = attribute("symbols")?.as_array().into_iter().flatten();
                let symbols = symbols.filter_map(Value::as_str).map(str::to_owned).collect();
                let number = self.push(AvroType::Enum(symbols));
                self.define(json, namespace, number).map(|_| number)
            }
            "fixed" => {
                let size = attribute("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("a fixed type whose size is no number")?;
                let is_uuid = size == 16 && logical_type_of(json) == "uuid";
                let number =
                    self.push(if is_uuid { AvroType::Uuid } else { AvroType::Fixed(size) });
                self.define(json, namespace, number).map(|_| number)
            }
            "array" => {
                let items = self.add(attribute("items")?, namespace)?;
                Ok(self.push(AvroType::Array(items)))
            }
            "map" => {
                let values = self.add(attribute("values")?, namespace)?;
                Ok(self.push(AvroType::Map(values)))
            }
            _ => match logical_type(name, logical_type_of(json)) {
                Some(avro_type) => Ok(self.push(avro_type)),
                None => self.resolve(name, namespace),
            },
        }
    }

    fn record(&mut self, json: &Map<String, Value>, namespace: &str) -> Result<usize, String> {
        // The name is defined first, because the record may contain itself.
        let number = self.push(AvroType::Null);
        let inside = self.define(json, namespace, number)?;
        let Some(Value::Array(members)) = json.get("fields") else {
            return Err("a record without \"fields\"".to_owned());
        };
        let mut fields = Vec::with_capacity(members.len());
        for member in members {
            let name = member.get("name").and_then(Value::as_str);
            let (Some(name), Some(field_type)) = (name, member.get("type")) else {
                return Err("a field without \"name\" or \"type\"".to_owned());
            };
            fields.push((name.to_owned(), self.add(field_type, &inside)?));
        }
        self.types[number] = AvroType::Record(fields);
        Ok(number)
    }

    /// Defines a type's full name, and returns the namespace for the types inside of it.
    fn define(
        &mut self,
        json: &Map<String, Value>,
        namespace: &str,
        number: usize,
    ) -> Result<String, String> {
        let name = json.get("name").and_then(Value::as_str).ok_or("a type without a name")?;
        let namespace = json.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        let inside = full.rsplit_once('.').map_or("", |(inside, _)| inside).to_owned();
        self.names.insert(full, number);
        Ok(inside)
    }
}

/// Returns the full name of a type. A name with a dot is full already.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

fn logical_type_of(json: &Map<String, Value>) -> &str {
    json.get("logicalType").and_then(Value::as_str).unwrap_or_default()
}

fn primitive(name: &str) -> Option<AvroType> {
    Some(match name {
        "null" => AvroType::Null,
        "boolean" => AvroType::Boolean,
        "int" => AvroType::Int,
        "long" => AvroType::Long,
        "float" => AvroType::Float,
        "double" => AvroType::Double,
        "bytes" => AvroType::Bytes,
        "string" => AvroType::Text,
        _ => return None,
    })
}

/// Returns the type for a logical type that matters here. Unknown logical types are ignored, as the
/// specification requires.
fn logical_type(name: &str, logical: &str) -> Option<AvroType> {
    Some(match (name, logical) {
        ("int", "date") => AvroType::Date,
        ("long", "timestamp-millis") => AvroType::Instant(TimeUnit::Millis),
        ("long", "timestamp-micros") => AvroType::Instant(TimeUnit::Micros),
        ("long", "timestamp-nanos") => AvroType::Instant(TimeUnit::Nanos),
        ("long", "local-timestamp-millis") => AvroType::Local(TimeUnit::Millis),
        ("long", "local-timestamp-micros") => AvroType::Local(TimeUnit::Micros),
        ("long", "local-timestamp-nanos") => AvroType::Local(TimeUnit::Nanos),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, &str>) {
            let found = AvroSchema::parse(text, &[]).map(|s| format!("{:?}", s.types[s.root]));
            assert_eq!(found.as_ref().map(String::as_str).map_err(String::as_str), expected);
        }
        check(r#""string""#, Ok("Text"));
        check(r#"{"type":"string","avro.java.string":"String"}"#, Ok("Text"));
        check(
            r#"{"type":{"type":"long","logicalType":"timestamp-micros"}}"#,
            Ok("Instant(Micros)"),
        );
        check(r#"{"type":"long","logicalType":"of tomorrow"}"#, Ok("Long"));
        check(r#"{"type":"int","logicalType":"timestamp-millis"}"#, Ok("Int"));
        check(r#"{"type":"bytes","logicalType":"decimal","precision":9}"#, Ok("Bytes"));
        check(r#"{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}"#, Ok("Uuid"));
        check(r#"["null","string"]"#, Ok("Union([0, 1])"));
        check(r#"{"type":"enum","name":"e","symbols":["a","b"]}"#, Ok(r#"Enum(["a", "b"])"#));
        check(r#""thing""#, Err("the type thing is not defined"));
        check(r#"{"type":"array"}"#, Err("a type array without \"items\""));
        check(r#"{"type":"record","name":"r"}"#, Err("a record without \"fields\""));
        check(r#"{"type":"record","fields":[]}"#, Err("a type without a name"));
        check(
            r#"{"type":"fixed","name":"f","size":-1}"#,
            Err("a fixed type whose size is no number"),
        );
        check("7", Err("7 is no type"));
        check("{", Err("no JSON: EOF while parsing an object at line 1 column 1"));
    }

    #[test]
    fn names_are_resolved() {
        // The references are by a name inside its own namespace, by a full name, by the record to
        // itself, and to another schema.
        let address = r#"{"type":"record","name":"com.x.Address","fields":[
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["home"]}}]}"#;
        let text = r#"{"type":"record","name":"Person","namespace":"com.x","fields":[
            {"name":"at","type":"Address"},
            {"name":"kind","type":"com.x.Kind"},
            {"name":"friend","type":["null","Person"]},
            {"name":"far","type":{"type":"fixed","name":"F","namespace":"z","size":2}},
            {"name":"near","type":"z.F"}]}"#;
        let schema = AvroSchema::parse(text, &[address.to_owned()]).expect("a schema");
        let AvroType::Record(fields) = &schema.types[schema.root] else { panic!("a record") };
        let type_of = |field: usize| &schema.types[fields[field].1];
        assert!(matches!(type_of(0), AvroType::Record(_)));
        assert_eq!(type_of(1), &AvroType::Enum(vec!["home".to_owned()]));
        let AvroType::Union(branches) = type_of(2) else { panic!("a union") };
        assert_eq!(branches[1], schema.root);
        assert_eq!((type_of(3), type_of(4)), (&AvroType::Fixed(2), &AvroType::Fixed(2)));
        assert!(AvroSchema::parse(text, &[]).is_err(), "without the schema it refers to");
    }
}
