//! Tests of mappings: their programs, their limits, and what they make of any record.

use domain::Stream;
use proptest::prelude::*;

use super::*;
use crate::decode::{Decoder, RecordInput};
use crate::tests::NOON;

const CONTEXT: MappingContext<'_> = MappingContext {
    key: None,
    headers: &[],
    topic: "calls",
    position: "calls/0/7",
    arrival: NOON,
    pseudonym: &|credential| format!("key-{}", credential.len()),
};

fn mapping(source: &str) -> Mapping {
    Mapping::compile("test.jq", source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// Returns the event, an empty text for a skipped record, or the reason and the detail.
fn outcome(source: &str, value: &[u8]) -> String {
    match mapping(source).run(value, &CONTEXT) {
        Ok(Mapped::Event(event)) => event,
        Ok(Mapped::Skipped { .. }) => String::new(),
        Err(failure) => failure.rejection.to_string(),
    }
}

#[track_caller]
fn check(source: &str, value: &str, expected: &str) {
    assert_eq!(outcome(source, value.as_bytes()), expected, "{source} of {value}");
}

#[test]
fn a_program_gives_one_event_or_none() {
    check(".", r#"{"a":1}"#, r#"{"a":1}"#);
    check("empty", "{}", "");
    check("select(.status)", r#"{"status":null}"#, "");
    check(".a", r#"{"a":[]}"#, "[]");
    check("null", "{}", "null");
    check("., .", "{}", "mapping_failed: the mapping gives more than one event");
    check("1, error(\"late\")", "{}", "mapping_failed: the mapping rejects it: late");
    check(
        ".a",
        "[]",
        "mapping_failed: the mapping ends with an error, whose message is sealed with the record",
    );
}

#[test]
fn the_pages_name_the_limit_of_steps() {
    let limit = format!("{} steps", domain::thousands(budget::MAX_STEPS));
    let pages =
        [include_str!("../../../docs/operator.md"), include_str!("../../../docs/sources.md")];
    assert!(pages.iter().all(|page| page.contains(&limit)), "{limit}");
}

#[test]
fn a_program_says_why_it_leaves_a_record_out() {
    #[track_caller]
    fn check(source: &str, value: &str, expected: Option<&str>) {
        let expected = Mapped::Skipped { why: expected.map(str::to_owned) };
        assert_eq!(mapping(source).run(value.as_bytes(), &CONTEXT), Ok(expected), "{source}");
    }
    check("left_out(\"no call\")", "{}", Some("no call"));
    check("if .a then . else left_out(\"no \" + .b) end", r#"{"b":"a"}"#, Some("no a"));
    check("{a: left_out(\"no call\")}", "{}", Some("no call"));
    check("empty", "{}", None);
    check("left_out(null)", "{}", None);
    // It is nothing else than no output.
    self::check("left_out(\"no call\") // 1", "{}", "1");
    self::check("1, left_out(\"no call\")", "{}", "1");
    self::check("[left_out(\"no call\")]", "{}", "[]");
}

#[test]
fn records_that_are_no_json_do_not_reach_the_program() {
    check("{}", "{", "not_json: EOF while parsing an object at column 1");
    check("{}", "", "not_json: EOF while parsing a value at column 0");
    check("{}", "1e999", "not_json: a number beyond Float64");
    check("{}", r#"{"a":"\ud800"}"#, "not_json: half a surrogate pair in a string");
    assert!(outcome("{}", b"\xff{}").starts_with("not_json: not UTF-8 after 0 bytes"));
    assert!(outcome("{}", b"\xef\xbb\xbf{}").starts_with("not_json: "));
    let text = "#---\n# input = \"text\"\n#---\n{line: .}";
    check(text, r#"a "b" \"#, r#"{"line":"a \"b\" \\"}"#);
    check(text, "", r#"{"line":""}"#);
    assert!(outcome(text, b"\xff").starts_with("not_json: not UTF-8"));
    let long = vec![b' '; crate::decode::MAX_RECORD_BYTES + 1];
    assert!(outcome(text, &long).starts_with("too_large: "));
}

#[test]
fn numbers_come_out_as_they_went_in() {
    check("[.[] | tonumber]", r#"["007", "-00.50", "000", " 1 "]"#, "[7,-0.50,0,1]");
    check("try (\"0x1\", \"\", \"1-\" | tonumber) catch \"none\"", "{}", "\"none\"");
    let numbers = r#"{"a":9007199254740993,"b":0.1,"c":123456789012345678901234567890,"d":1.10,"e":-0.0,"f":1e5}"#;
    check(".", numbers, numbers);
    check(
        "{x: .b, y: (.a + 1), z: -.a}",
        numbers,
        r#"{"x":0.1,"y":9007199254740994,"z":-9007199254740993}"#,
    );
    check(
        "{s: (.a | tostring), t: (.b | tojson), u: (\"0.30\" | tonumber)}",
        numbers,
        r#"{"s":"9007199254740993","t":"0.1","u":0.30}"#,
    );
    check(".b * 1000", numbers, "100.0");
    check(".", r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
}

#[test]
fn an_event_that_json_does_not_have_is_refused() {
    let number = "mapping_failed: the event holds a number that is not finite";
    check("nan", "{}", number);
    check("{a: [infinite]}", "{}", number);
    check("1e999", "{}", number);
    check(
        "{(1 | tojson | tobytes): 1}",
        "{}",
        "mapping_failed: the event has a member whose name is not a string",
    );
    check(
        "\"a\" | tobytes",
        "{}",
        "mapping_failed: the event holds bytes (of tobytes), which JSON has none of",
    );
    check(
        "reduce range(200) as $i (0; [.])",
        "{}",
        "mapping_failed: the event is nested deeper than 128 levels",
    );
    check("\"x\" * 1100000", "{}", "mapping_failed: the event is longer than 1 MiB");
    check("\"/w==\" | @base64d", "{}", "\"\u{fffd}\"");
}

#[test]
fn a_program_sees_the_record_and_nothing_else() {
    let headers = [
        ("ce_type".to_owned(), Some(b"old".to_vec())),
        ("ce_type".to_owned(), Some(b"new".to_vec())),
        ("empty".to_owned(), None),
    ];
    let context = MappingContext { key: Some(b"p-1"), headers: &headers, ..CONTEXT };
    let source = "[$key, $headers.ce_type, $headers.empty, $topic, $position, $arrival]";
    let mapped = mapping(source).run(b"{}", &context);
    let expected = r#"["p-1","new",null,"calls","calls/0/7","2026-01-01T12:00:00.000000Z"]"#;
    assert_eq!(mapped, Ok(Mapped::Event(expected.to_owned())));
    check("$key", "{}", "null");
    for (program, says) in [
        ("now", "1:1: now is not available: a mapping can't see the clock"),
        ("{a: env}", "1:5: env is not available"),
        ("$ENV", "$ENV is not available"),
        ("1,\n inputs", "2:2: inputs is not available: a mapping sees one record at a time"),
        ("debug", "debug is not available"),
        ("halt", "halt is not available"),
        ("halt_error", "halt_error is not available"),
        ("localtime", "time zone"),
        ("input_filename", "input_filename is not available"),
        ("$__loc__", "$__loc__"),
        ("import \"a\" as a; .", "1:"),
        ("include \"a\"; .", "can't import or include"),
        ("import \"a\" as $a; .", "can't import or include"),
    ] {
        let error = Mapping::compile("m.jq", program).expect_err(program).to_string();
        assert!(error.starts_with("m.jq:") && error.contains(says), "{program}: {error}");
    }
}

#[test]
fn broken_programs_are_shown_with_their_position() {
    for (program, expected) in [
        ("{a: .b", "m.jq:1:1: closing brace expected for \"{\", but the program ends here"),
        (".a\n| fromdte", "m.jq:2:3: there is no function fromdte; did you mean fromdate?"),
        ("$postion", "m.jq:1:1: there is no variable $postion; did you mean $position?"),
        (".a |", "m.jq:1:5: term expected, but the program ends here"),
        (
            "#---\n# stram = \"api-calls\"\n#---\n.",
            "m.jq:2:3: the header of the mapping: unknown field `stram`; did you mean `stream`?",
        ),
        ("#---\n# stream = \"calls\"\n#---\n.", "m.jq:2:12: the header of the mapping: "),
        ("#---\n# input = \"xml\"\n#---\n.", "m.jq:2:11: the header of the mapping: "),
        ("#---\n.", "m.jq:2:1: the header of the mapping: every line of it begins with #"),
        ("#---\n# a", "m.jq:1:1: the header of the mapping: it has no end"),
    ] {
        let error = Mapping::compile("m.jq", program).expect_err(program).to_string();
        assert!(error.starts_with(expected), "{program}: {error}");
    }
    let error = Mapping::built_in("kong-http-lgo").expect_err("no recipe").to_string();
    assert!(error.contains("did you mean \"kong-http-log\"?"), "{error}");
}

#[test]
fn a_message_is_in_the_clear_only_where_the_program_holds_it() {
    let check = |source: &str, value: &str, detail: &str, message: Option<&str>| {
        let failure = mapping(source).run(value.as_bytes(), &CONTEXT).expect_err(source);
        assert_eq!(failure.rejection.reason.as_str(), "mapping_failed");
        assert_eq!(failure.rejection.detail, detail, "{source}");
        assert_eq!(failure.message.as_deref(), message, "{source}");
    };
    let sealed = "the mapping ends with an error, whose message is sealed with the record";
    let value = r#"{"key":"hunter2","part":"no"}"#;
    check("error(\"no partner\")", value, "the mapping rejects it: no partner", None);
    check("error(\"no \\\"partner\\\"\")", value, "the mapping rejects it: no \"partner\"", None);
    check("error(\"no partner: \\(.key)\")", value, sealed, Some("no partner: hunter2"));
    check("if .a then error(\"no partner\") else error(.part) end", value, sealed, Some("no"));
    check("error(.)", r#"{"a":1}"#, sealed, Some(r#"{"a":1}"#));
    check("error", "null", sealed, Some("null"));
    check(".key.a", value, sealed, Some("cannot index \"hunter2\" with \"a\""));
    let long = format!("\"{}\"", "é".repeat(4000));
    let failure = mapping("error(. + \"!\")").run(long.as_bytes(), &CONTEXT).expect_err("fails");
    assert_eq!(failure.message.map(|message| message.len()), Some(4096));
}

#[test]
fn a_program_without_end_or_bottom_is_stopped() {
    let steps = "mapping_failed: the mapping takes more than 500000 steps";
    let deep = "mapping_failed: the mapping recurses too deeply";
    check("def f: f; f", "{}", steps);
    check("last(repeat(1))", "{}", steps);
    check("[range(1e18)] | length", "{}", steps);
    check("last(range(0; infinite; 0))", "{}", steps);
    check("until(false; .)", "{}", steps);
    check("def f: 1 + f; f", "{}", deep);
    check("def f: [f]; f", "{}", deep);
    check("def f: {a: f}; f", "{}", deep);
    check("def f: f | f; f", "{}", deep);
    // After a run that was stopped, the next one has the whole budget.
    check(".", "{}", "{}");
    check("reduce range(100000) as $i (0; [.]) | tojson | length", "{}", "200001");
    // Values that a program nests as deep as its steps let it are dropped all the same.
    check("reduce range(100000) as $i (0; [.]) | 1", "{}", "1");
    check(
        "reduce range(80000) as $i (0; {a: .}) | error",
        "{}",
        "mapping_failed: the mapping ends with an error, whose message is sealed with the record",
    );
}

#[test]
fn deep_records_overflow_no_stack() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    check(".", &nested(128), &nested(128));
    check("[..] | length", &nested(128), "128");
    let deep =
        "mapping_failed: the record is nested deeper than the 128 levels that a mapping takes";
    check(".", &nested(130), deep);
    check(".", &nested(500_000), deep);
    let brackets = "[".repeat(crate::decode::MAX_RECORD_BYTES);
    assert!(outcome(".", brackets.as_bytes()).starts_with("not_json: "));
    let text = serde_json::json!({ "body": nested(200_000) }).to_string();
    check("try (.body | fromjson) catch \"refused\"", &text, "\"refused\"");
}

#[test]
fn functions_of_log_recipes_are_there() {
    check(r#""10/Oct/2025:13:55:36" | strptime("%d/%b/%Y:%H:%M:%S") | mktime"#, "1", "1760104536");
    check(r#"1760129736 | todate"#, "1", r#""2025-10-10T20:55:36Z""#);
    check(r#""2025-10-10T20:55:36Z" | fromdate"#, "1", "1760129736");
    check(r#""YTpi" | @base64d | split(":")"#, "1", r#"["a","b"]"#);
    check(r#""a b/c" | @uri"#, "1", r#""a%20b%2Fc""#);
    check(r#""a%20b" | @urid"#, "1", r#""a b""#);
    check(
        r#""GET /a HTTP/1.1" | capture("^(?<method>[A-Z]+) (?<path>[^ ]+)")"#,
        "1",
        r#"{"method":"GET","path":"/a"}"#,
    );
    check(r#""aXbX" | gsub("x"; "-"; "i")"#, "1", r#""a-b-""#);
    check(r#""a1b22" | [scan("[0-9]+")]"#, "1", r#"["1","22"]"#);
    check(r#""a, b,c" | [splits(", *")]"#, "1", r#"["a","b","c"]"#);
    check(r#""éa" | match("a") | [.offset, .length, .string]"#, "1", r#"[1,1,"a"]"#);
    check(r#""ba" | [match("(?:(a)|(b))*").captures[].string]"#, "1", r#"["a","b"]"#);
    check(r#"[test("a"; "x"), test("A")]"#, r#""cab""#, "[true,false]");
    check(r#"try test("("; "") catch "bad""#, r#""a""#, r#""bad""#);
    check(
        "[limit(3; range(10))], [range(5; 0; -2)] | length",
        "1",
        "mapping_failed: the mapping gives more than one event",
    );
    check("[range(0; 1; 0.25)]", "1", "[0,0.25,0.5,0.75]");
    check(".amount * 100 | round", r#"{"amount":19.99}"#, "1999");
}

#[test]
fn positions_are_short() {
    assert_eq!(record_position("calls", 3, 17), "calls/3/17");
    let long = record_position(&"t".repeat(65), i32::MAX, i64::MAX);
    assert!(long.len() < 100 && long.starts_with('#'), "{long}");
    assert_eq!(record_position(&"t".repeat(64), 0, 0), format!("{}/0/0", "t".repeat(64)));
}

#[test]
fn a_trial_shows_the_event_and_its_fields() {
    let source = "if .skip then empty else {event_id: $position, partner_id: .who, occurred_at: $arrival, status, credential_id: .key, latency_ms: .ms, a} end";
    let mut trial = Trial::new(Stream::ApiCalls, Some(mapping(source)));
    let mut run = |value: &str| {
        trial.run(&TrialRecord {
            value: value.as_bytes(),
            key: None,
            headers: &[],
            topic: "calls",
            position: "calls/0/7",
            arrival: NOON,
        })
    };
    let outcome = run(r#"{"who":"acme","status":200,"key":"hunter2","ms":1.5,"a":[1]}"#);
    assert!(
        outcome
            .mapped
            .as_deref()
            .is_some_and(|event| event.starts_with(r#"{"event_id":"calls/0/7","#))
    );
    let TrialResult::Accepted(fields) = outcome.result else { panic!("{outcome:?}") };
    let field = |column: &str| {
        let found = fields.iter().find(|field| field.column == column);
        found.unwrap_or_else(|| panic!("no {column}")).value.clone()
    };
    assert_eq!(field("partner_id"), "acme");
    assert_eq!(field("occurred_at"), "2026-01-01T12:00:00Z");
    assert_eq!(field("credential_id"), "hashed");
    assert_eq!(field("latency_us"), 1500);
    assert_eq!(field("product"), serde_json::Value::Null);
    assert_eq!(field("environment"), "production");
    assert_eq!(field("extra"), r#"{"a":[1]}"#);
    assert_eq!(
        run(r#"{"skip":true}"#),
        TrialOutcome { mapped: None, result: TrialResult::Skipped { why: None } }
    );
    let rejected = run("{}");
    let TrialResult::Rejected { rejection, .. } = rejected.result else { panic!("{rejected:?}") };
    assert_eq!((rejection.reason.as_str(), rejection.field), ("missing_field", Some("partner_id")));
}

/// Generates JSON values that are nested a few levels.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-z_]{0,8}", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The mapping `.` changes nothing: the same records are accepted, with the same fields.
    #[test]
    fn the_identity_changes_nothing(
        members in prop::collection::btree_map(
            prop_oneof![
                Just("event_id".to_owned()), Just("partner_id".to_owned()),
                Just("occurred_at".to_owned()), Just("status".to_owned()),
                Just("latency_ms".to_owned()), Just("specversion".to_owned()),
                Just("data".to_owned()), "[a-z]{1,6}",
            ],
            json(),
            0..8,
        ),
        valid in any::<bool>(),
        status in 0u16..700,
        latency in any::<f64>(),
    ) {
        let mut record: serde_json::Map<String, serde_json::Value> = members.into_iter().collect();
        if valid {
            record.insert("event_id".to_owned(), "e-1".into());
            record.insert("partner_id".to_owned(), "p-1".into());
            record.insert("occurred_at".to_owned(), "2026-01-01T11:00:00Z".into());
            record.insert("status".to_owned(), status.into());
            record.insert("latency_ms".to_owned(), latency.abs().into());
            record.remove("specversion");
        }
        let text = serde_json::Value::Object(record).to_string();
        let mut decoder = Decoder::new(Stream::ApiCalls, Arc::new(|key: &str| format!("k:{key}")));
        let mut fields = |value: &str| {
            let value = value.as_bytes();
            let input = RecordInput { value, arrival: NOON, attributes: None, schema: None };
            let event = decoder.parse(&input)?;
            Ok(decoder.stored_fields(&event))
        };
        let plain = fields(&text);
        let mapped = match mapping(".").run(text.as_bytes(), &CONTEXT) {
            Ok(Mapped::Event(event)) => fields(&event),
            Ok(Mapped::Skipped { .. }) => panic!("{text} is skipped"),
            Err(failure) => Err(failure.rejection),
        };
        prop_assert_eq!(plain, mapped, "{}", text);
    }

    /// Every text is either an event that is JSON or rejected, and no panic.
    #[test]
    fn any_bytes_are_taken(value in prop::collection::vec(any::<u8>(), 0..64)) {
        for source in [".", "#---\n# input = \"text\"\n#---\n[., (.[0:3]? // 1), test(\"a\")]"] {
            if let Ok(Mapped::Event(event)) = mapping(source).run(&value, &CONTEXT) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&event).is_ok(), "{}", event);
            }
        }
    }
}
