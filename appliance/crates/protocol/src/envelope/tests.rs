use super::*;

fn parse(text: &str) -> Result<Message, EnvelopeError> {
    Envelope::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::DEFAULT)
}

fn one(text: &str) -> Envelope {
    match parse(text) {
        Ok(Message::One(envelope)) => envelope,
        other => panic!("{text}: not one message: {other:?}"),
    }
}

fn refused(text: &str) -> (i32, Option<String>) {
    let error = parse(text).expect_err(text);
    (error.code, error.id.map(|id| id.text().to_owned()))
}

#[test]
fn reads_a_call_without_copying_it() {
    let text = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"gr\u0065et","arguments":{"n":1},"_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28","x":1}}}"#,
    );
    let Ok(Message::One(envelope)) = Envelope::parse(text.clone(), &Limits::DEFAULT) else {
        panic!("one message")
    };
    assert_eq!((envelope.shape(), envelope.method()), (Shape::Request, Method::ToolsCall));
    assert_eq!(envelope.param(Param::Name).and_then(Raw::as_str).as_deref(), Some("greet"));
    assert_eq!(envelope.meta(MetaKey::ProgressToken).map(Raw::text), Some("\"t\""));
    assert_eq!(envelope.meta(MetaKey::LogLevel), None);
    let arguments = envelope.share(envelope.param(Param::Arguments).expect("there"));
    assert_eq!(&arguments[..], br#"{"n":1}"#);
    assert!(text.as_ptr_range().contains(&arguments.as_ptr()));
}

#[test]
fn ids_come_back_byte_for_byte() {
    for id in ["0", "-1", "7", "9007199254740991", "\"\"", "\"a\\u0062\"", "\"7\""] {
        let envelope = one(&format!(r#"{{"jsonrpc":"2.0","id": {id} ,"method":"ping"}}"#));
        assert_eq!(envelope.id().expect("an id").text(), id);
    }
}

#[test]
fn refuses_ids_that_could_not_come_back() {
    let long = format!("\"{}\"", "x".repeat(129));
    for id in ["null", "true", "1.0", "1e3", "9007199254740992", "[]", "{}", &long] {
        let refused = refused(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(refused, (-32600, None), "{id}");
    }
}

#[test]
fn knows_every_shape() {
    let shape = |text| one(text).shape();
    assert_eq!(shape(r#"{"jsonrpc":"2.0","method":"x"}"#), Shape::Notification);
    assert_eq!(shape(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Shape::Response);
    assert_eq!(shape(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Shape::ErrorResponse);
    assert_eq!(shape(r#"{"jsonrpc":"2.0","error":{}}"#), Shape::ErrorResponse);
}

#[test]
fn refuses_what_is_not_a_message_and_keeps_its_id() {
    for text in [
        r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
        r#"{"id":1,"method":"x"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","Params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"x"}"#,
        r#"{"extra":1,"jsonrpc":"2.0","method":"x","id":1}"#,
    ] {
        assert_eq!(refused(text), (-32600, Some("1".to_owned())), "{text}");
    }
    for text in ["1", "\"x\"", "null", "{}", r#"{"jsonrpc":"2.0","result":{}}"#] {
        assert_eq!(refused(text), (-32600, None), "{text}");
    }
}

#[test]
fn tells_broken_json_from_repeated_keys() {
    assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"x""#), (-32700, Some("1".to_owned())));
    assert_eq!(refused("{not json"), (-32700, None));
    assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#).0, -32600);
    assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"a"} x"#).0, -32700);
    let bytes = Bytes::from_static(b"{\"jsonrpc\":\"2.0\xff\"}");
    assert_eq!(Envelope::parse(bytes, &Limits::DEFAULT).expect_err("not UTF-8").code, -32700);
}

#[test]
fn echoes_no_id_that_would_be_refused() {
    let long = format!("\"{}\"", "x".repeat(129));
    for id in ["1.5", "9007199254740992", "-9223372036854775808", "1e3", "null", "[]", &long] {
        let whole = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
        assert_eq!(refused(&whole), (-32600, None), "{id}");
        let broken = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x""#);
        assert_eq!(refused(&broken), (-32700, None), "{id}");
    }
    let longest = format!("\"{}\"", "x".repeat(128));
    for id in ["0", "-9007199254740991", "9007199254740991", "\"\"", &longest] {
        let broken = format!(r#"{{"id":{id},"method":"x""#);
        assert_eq!(refused(&broken), (-32700, Some(id.to_owned())), "{id}");
    }
}

#[test]
fn judges_each_message_of_a_batch_for_itself() {
    let text = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},1,{"jsonrpc":"2.0","id":2},{"jsonrpc":"2.0","method":"n"}]"#;
    let Ok(Message::Batch(items)) = parse(text) else { panic!("a batch") };
    let judged: Vec<_> = items
        .iter()
        .map(|item| item.as_ref().map(Envelope::shape).map_err(|error| error.code))
        .collect();
    assert_eq!(judged, [Ok(Shape::Request), Err(-32600), Err(-32600), Ok(Shape::Notification)]);
    assert_eq!(refused("[]"), (-32600, None));
    assert_eq!(refused("[{]"), (-32700, None));
    let many = format!("[{}]", vec!["1"; 101].join(","));
    assert_eq!(refused(&many), (-32600, None));
}

#[test]
fn a_meta_of_another_kind_is_there_and_empty() {
    let envelope = one(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":3}}"#);
    assert_eq!(envelope.param(Param::Meta).map(Raw::kind), Some(Kind::Number));
    assert_eq!(envelope.meta(MetaKey::ProgressToken), None);
}

#[test]
fn stays_small_enough_to_move() {
    assert!(size_of::<Envelope>() <= 64, "{}", size_of::<Envelope>());
}
