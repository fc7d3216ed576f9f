use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn fault(text: &[u8]) -> &'static str {
    check(text, &Limits::DEFAULT).map(Raw::text).expect_err("refused").what
}

#[test]
fn refuses_what_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "'a'",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "1 2",
        "{} x",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\"\t\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\u{feff}{}",
        "[1,,2]",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
    ] {
        assert!(check(text.as_bytes(), &Limits::DEFAULT).is_err(), "{text:?}");
    }
}

#[test]
fn refuses_bytes_that_are_not_utf_8() {
    for text in [
        &b"\"\xff\""[..],
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf5\x80\x80\x80\"",
        b"\"\xe2\x82\"",
    ] {
        assert_eq!(fault(text), "invalid UTF-8");
    }
}

#[test]
fn refuses_repeated_keys_at_every_depth_and_in_every_spelling() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(fault(text.as_bytes()), DUPLICATE_KEY, "{text}");
    }
    for text in [r#"{"a":{"a":1},"b":{"a":1}}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"A":2}"#] {
        assert!(check(text.as_bytes(), &Limits::DEFAULT).is_ok(), "{text}");
    }
}

#[test]
fn finds_a_repeated_key_among_many() {
    let members = |keys: usize| {
        (0..keys).map(|key| format!("\"k{key}\":{key}")).collect::<Vec<_>>().join(",")
    };
    let text = |extra: &str| format!("{{{}{extra}}}", members(100));
    assert!(check(text("").as_bytes(), &Limits::DEFAULT).is_ok());
    assert_eq!(fault(text(",\"k7\":0").as_bytes()), DUPLICATE_KEY);
    assert_eq!(fault(text(",\"k\\u00370\":0").as_bytes()), DUPLICATE_KEY);
}

#[test]
fn refuses_nul_in_keys() {
    assert_eq!(fault(br#"{"a\u0000":1}"#), "NUL in a key");
    assert!(check(br#"{"a":"\u0000"}"#, &Limits::DEFAULT).is_ok());
}

#[test]
fn keeps_every_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(nested(64).as_bytes(), &Limits::DEFAULT).is_ok());
    assert_eq!(fault(nested(65).as_bytes()), "nested too deeply");
    assert_eq!(fault("[".repeat(1_000_000).as_bytes()), "nested too deeply");
    let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert!(check(numbers(99_999).as_bytes(), &Limits::DEFAULT).is_ok());
    assert_eq!(fault(numbers(100_000).as_bytes()), "too many values");
    assert_eq!(fault(format!("{{\"{}\":1}}", "k".repeat(257)).as_bytes()), "key too long");
    assert_eq!(fault("1".repeat(65).as_bytes()), "number too long");
    let keys: Vec<_> = (0..1_025).map(|key| format!("\"{key}\":1")).collect();
    assert_eq!(fault(format!("{{{}}}", keys.join(",")).as_bytes()), "too many keys");
}

#[test]
fn finds_the_members_it_was_asked_for() {
    let text = br#" {"b": [1, 2] , "_meta" : {"x":1}, "\u0061":"A"} "#;
    let [meta, a, none] =
        check_object(text, &Limits::DEFAULT, ["_meta", "a", "c"]).expect("an object");
    let at = |span: Option<Span>| {
        span.map(|span| std::str::from_utf8(&text[span.range()]).expect("UTF-8"))
    };
    assert_eq!((at(meta), at(a), at(none)), (Some("{\"x\":1}"), Some("\"A\""), None));
    assert!(check_object(b"[]", &Limits::DEFAULT, []).is_err());
}

#[test]
fn reads_numbers_as_integers_when_they_are() {
    let integer = |text: &str| check(text.as_bytes(), &Limits::DEFAULT).expect("JSON").as_i64();
    assert_eq!(integer("42"), Some(42));
    assert_eq!(integer("42.0"), Some(42));
    assert_eq!(integer("-1e3"), Some(-1_000));
    assert_eq!(integer("0.5"), None);
    assert_eq!(integer("1e300"), None);
    assert_eq!(integer("\"1\""), None);
}

/// What our reader makes of a checked value.
fn rebuild(raw: Raw<'_>) -> Value {
    match raw.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(raw.as_bool().expect("a boolean")),
        Kind::Number => serde_json::from_str(raw.text()).expect("a number"),
        Kind::String => Value::String(raw.as_str().expect("a string").into_owned()),
        Kind::Array => raw.items().map(rebuild).collect(),
        Kind::Object => {
            raw.members().map(|(key, value)| (key.into_owned(), rebuild(value))).collect()
        }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let key = any::<String>()
            .prop_map(|key| key.replace('\0', "").chars().take(20).collect::<String>());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..24)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_another_writer_wrote(value in values(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("serializable");
        // Read back by the other reader too: its floats are not exact.
        let expected: Value = serde_json::from_str(&text).expect("its own text");
        prop_assert_eq!(rebuild(check(text.as_bytes(), &Limits::DEFAULT).expect("valid")), expected);
    }

    #[test]
    fn accepts_nothing_that_another_reader_refuses(text in r#"[ \[\]{}:,"\\a0-9eE.+\-truefalsn\n]{0,40}"#) {
        let ours = check(text.as_bytes(), &Limits::DEFAULT);
        let theirs = serde_json::from_str::<Value>(&text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(rebuild(ours), theirs),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{}", error),
            (Err(error), Ok(_)) => prop_assert_eq!(error.what, DUPLICATE_KEY),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(check(&bytes, &Limits::DEFAULT).map(rebuild));
    }

    #[test]
    fn writes_strings_that_read_back(text: String) {
        let mut out = String::new();
        write_string(&mut out, &text);
        let mut bytes = Vec::new();
        write_utf8_to(&mut bytes, text.as_bytes());
        prop_assert_eq!(out.as_bytes(), &bytes[..]);
        prop_assert_eq!(serde_json::from_str::<String>(&out).expect("a string"), text.clone());
        prop_assert_eq!(check(&bytes, &Limits::DEFAULT).expect("valid").as_str().expect("a string"), text);
    }
}
