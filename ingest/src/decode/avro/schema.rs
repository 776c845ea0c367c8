//! An Avro schema as its writer registered it, as far as reading needs it: types by number, names
//! resolved.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The types of one schema. Names are resolved to numbers, so that a type may contain itself.
#[derive(Debug)]
pub struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: usize,
}

/// A type, by what its values become here: logical types that change nothing are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Type {
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
    /// An int: days since 1970.
    Date,
    /// A long of these units since 1970 UTC.
    Instant(Unit),
    /// A long of these units on some clock that is not told.
    Local(Unit),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<(String, usize)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// Microseconds; what is finer is cut off, what does not fit is the farthest there is.
    pub(super) fn micros(self, value: i64) -> i64 {
        match self {
            Self::Millis => value.saturating_mul(1000),
            Self::Micros => value,
            Self::Nanos => value.div_euclid(1000),
        }
    }
}

impl Schema {
    /// Reads a schema's JSON. `referenced` are the schemas that define names it uses, each after
    /// those that it needs itself.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str, referenced: &[String]) -> Result<Self, String> {
        let mut builder = Builder { types: Vec::new(), names: HashMap::new() };
        for text in referenced {
            builder.text(text)?;
        }
        let root = builder.text(text)?;
        Ok(Self { types: builder.types, root })
    }
}

struct Builder {
    types: Vec<Type>,
    /// Named types by their full names.
    names: HashMap<String, usize>,
}

impl Builder {
    fn text(&mut self, text: &str) -> Result<usize, String> {
        let json: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))?;
        self.add(&json, "")
    }

    /// Adds a type that stands inside a namespace; its number.
    fn add(&mut self, json: &Value, namespace: &str) -> Result<usize, String> {
        match json {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.add(branch, namespace));
                let branches = branches.collect::<Result<_, _>>()?;
                Ok(self.push(Type::Union(branches)))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(name)) => self.complex(name, object, namespace),
                Some(inner) => self.add(inner, namespace),
                None => Err("a type without \"type\"".to_owned()),
            },
            other => Err(format!("{other} is no type")),
        }
    }

    fn push(&mut self, kind: Type) -> usize {
        self.types.push(kind);
        self.types.len() - 1
    }

    /// A primitive type, or one that was defined before.
    fn named(&mut self, name: &str, namespace: &str) -> Result<usize, String> {
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
        let part =
            |key: &str| json.get(key).ok_or_else(|| format!("a type {name} without \"{key}\""));
        match name {
            "record" | "error" => self.record(json, namespace),
            "enum" => {
                let symbols = part("symbols")?.as_array().into_iter().flatten();
                let symbols = symbols.filter_map(Value::as_str).map(str::to_owned).collect();
                let number = self.push(Type::Enum(symbols));
                self.define(json, namespace, number).map(|_| number)
            }
            "fixed" => {
                let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("a fixed type whose size is no number")?;
                let is_uuid = size == 16 && logical(json) == "uuid";
                let number = self.push(if is_uuid { Type::Uuid } else { Type::Fixed(size) });
                self.define(json, namespace, number).map(|_| number)
            }
            "array" => {
                let items = self.add(part("items")?, namespace)?;
                Ok(self.push(Type::Array(items)))
            }
            "map" => {
                let values = self.add(part("values")?, namespace)?;
                Ok(self.push(Type::Map(values)))
            }
            _ => match annotated(name, logical(json)) {
                Some(kind) => Ok(self.push(kind)),
                None => self.named(name, namespace),
            },
        }
    }

    fn record(&mut self, json: &Map<String, Value>, namespace: &str) -> Result<usize, String> {
        // Its name is known inside of it.
        let number = self.push(Type::Null);
        let inside = self.define(json, namespace, number)?;
        let Some(Value::Array(members)) = json.get("fields") else {
            return Err("a record without \"fields\"".to_owned());
        };
        let mut fields = Vec::with_capacity(members.len());
        for member in members {
            let name = member.get("name").and_then(Value::as_str);
            let (Some(name), Some(kind)) = (name, member.get("type")) else {
                return Err("a field without \"name\" or \"type\"".to_owned());
            };
            fields.push((name.to_owned(), self.add(kind, &inside)?));
        }
        self.types[number] = Type::Record(fields);
        Ok(number)
    }

    /// Notes a type's full name; the namespace inside of it.
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

/// A name with a dot is full already.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

fn logical(json: &Map<String, Value>) -> &str {
    json.get("logicalType").and_then(Value::as_str).unwrap_or_default()
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::Text,
        _ => return None,
    })
}

/// A primitive type with a logical one that matters; one that we do not know counts for nothing.
fn annotated(name: &str, logical: &str) -> Option<Type> {
    Some(match (name, logical) {
        ("int", "date") => Type::Date,
        ("long", "timestamp-millis") => Type::Instant(Unit::Millis),
        ("long", "timestamp-micros") => Type::Instant(Unit::Micros),
        ("long", "timestamp-nanos") => Type::Instant(Unit::Nanos),
        ("long", "local-timestamp-millis") => Type::Local(Unit::Millis),
        ("long", "local-timestamp-micros") => Type::Local(Unit::Micros),
        ("long", "local-timestamp-nanos") => Type::Local(Unit::Nanos),
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
            let found = Schema::parse(text, &[]).map(|s| format!("{:?}", s.types[s.root]));
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
        // Inside its own namespace, by its full name, in itself, and from another schema.
        let address = r#"{"type":"record","name":"com.x.Address","fields":[
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["home"]}}]}"#;
        let text = r#"{"type":"record","name":"Person","namespace":"com.x","fields":[
            {"name":"at","type":"Address"},
            {"name":"kind","type":"com.x.Kind"},
            {"name":"friend","type":["null","Person"]},
            {"name":"far","type":{"type":"fixed","name":"F","namespace":"z","size":2}},
            {"name":"near","type":"z.F"}]}"#;
        let schema = Schema::parse(text, &[address.to_owned()]).expect("a schema");
        let Type::Record(fields) = &schema.types[schema.root] else { panic!("a record") };
        let kind = |field: usize| &schema.types[fields[field].1];
        assert!(matches!(kind(0), Type::Record(_)));
        assert_eq!(kind(1), &Type::Enum(vec!["home".to_owned()]));
        let Type::Union(branches) = kind(2) else { panic!("a union") };
        assert_eq!(branches[1], schema.root);
        assert_eq!((kind(3), kind(4)), (&Type::Fixed(2), &Type::Fixed(2)));
        assert!(Schema::parse(text, &[]).is_err(), "without the schema it refers to");
    }
}
