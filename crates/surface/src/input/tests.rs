use super::*;
use proptest::prelude::*;
use serde_json::json;

fn command(input: Value) -> Command {
    serde_json::from_value(json!({"id": "c", "title": "C", "input": input})).unwrap()
}

fn scan() -> Command {
    command(json!({"type": "object", "required": ["subnet"], "additionalProperties": false, "properties": {
        "subnet": {"type": "string", "title": "Subnet", "x-type": "cidr"},
        "depth": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9, "format": "uint8"},
        "ratio": {"type": ["number", "null"]},
        "mode": {"oneOf": [{"const": "fast", "title": "Fast"}, {"const": "full", "title": "Full"}], "default": "fast"},
        "reason": {"type": "string", "minLength": 3, "x-when": {"field": "mode", "op": "eq", "value": "full"}, "default": "none"},
        "ports": {"type": "array", "items": {"type": "integer", "x-type": "port"}, "maxItems": 3, "uniqueItems": true},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "login": {"type": "object", "required": ["user"], "properties": {"user": {"type": "string"}, "keep": {"type": "boolean", "default": true}}}}}))
}

fn checked(input: Value) -> Result<Value, String> {
    let input = input.as_object().unwrap().clone();
    validate_input(&scan(), &input).map(Value::Object).map_err(|p| p.to_string())
}

#[test]
fn defaults_are_filled_in_where_they_are_asked_for() {
    let filled = checked(json!({"login": {"user": "u"}, "subnet": "10.0.0.0/8"})).unwrap();
    let expected = json!({"subnet": "10.0.0.0/8", "depth": 3, "mode": "fast", "login": {"user": "u", "keep": true}});
    assert_eq!(filled.to_string(), expected.to_string(), "in the order of the schema");
    assert_eq!(checked(json!({"subnet": "::/0", "mode": "full"})).unwrap()["reason"], "none");
    assert_eq!(checked(json!({"subnet": "::/0", "depth": 4.0, "ratio": null})).unwrap()["depth"], json!(4));
}

#[test]
fn every_fault_is_told_at_its_path() {
    for (input, told) in [
        (json!({}), "subnet: Subnet is needed."),
        (json!({"subnet": 5}), "subnet: expected a text, not a whole number."),
        (json!({"subnet": null}), "subnet: expected a text, not null."),
        (json!({"subnet": "10.0.0.0/40"}), "subnet: expected a network as in 10.0.0.0/24, not \"10.0.0.0/40\"."),
        (json!({"subnet": "::/0", "dpeth": 1}), "dpeth: there is no dpeth here. Did you mean depth?"),
        (json!({"subnet": "::/0", "depth": 10}), "depth: 10 is not between 1 and 9."),
        (json!({"subnet": "::/0", "depth": 2.5}), "depth: expected a whole number, not a number."),
        (json!({"subnet": "::/0", "mode": "ful"}), "mode: expected one of fast, full, not ful. Did you mean full?"),
        (json!({"subnet": "::/0", "ports": [1, 70000]}), "ports[1]: expected a port, 0 to 65535, not 70000."),
        (json!({"subnet": "::/0", "ports": [1, 2, 1]}), "ports[2]: this value occurs twice."),
        (json!({"subnet": "::/0", "ports": [1, 2, 3, 4]}), "ports: it may have 3 values at most, not 4."),
        (json!({"subnet": "::/0", "name": "A"}), "name: this does not have the form ^[a-z]+$."),
        (json!({"subnet": "::/0", "name": "abcdef"}), "name: 6 characters are more than the 5 it may have."),
        (json!({"subnet": "::/0", "login": {}}), "login.user: user is needed."),
        (json!({"subnet": "::/0", "login": {"user": true}}), "login.user: expected a text, not true or false."),
        (json!({"subnet": "::/0", "mode": "full", "reason": ""}), "reason: this may not be empty."),
    ] {
        assert_eq!(checked(input.clone()).unwrap_err(), told, "{input}");
    }
}

#[test]
fn several_faults_are_told_at_once() {
    let input = json!({"depth": 0, "mode": "x\u{1b}[31m", "odd\u{202e}": 1});
    let problem = validate_input(&scan(), input.as_object().unwrap()).unwrap_err();
    assert_eq!(problem.message, "4 values do not fit.");
    assert_eq!(problem.causes.len(), 4);
    assert!(!serde_json::to_string(&problem).unwrap().contains("\\u001b"), "a message steers a terminal");
}

/// What jsonschema makes of the input, for schemas without our extensions.
fn standard(command: &Command, input: &Value) -> bool {
    jsonschema::validator_for(&command.input).unwrap().is_valid(input)
}

fn plain() -> Command {
    command(json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {
        "a": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[xé]*$"},
        "b": {"type": ["integer", "null"], "minimum": -2, "maximum": 2},
        "c": {"enum": ["x", 1, true]},
        "d": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1, "maxItems": 2, "uniqueItems": true},
        "e": {"type": "object", "required": ["f"], "additionalProperties": false, "properties": {"f": {"type": "boolean"}}},
        "g": {"oneOf": [{"const": "x"}, {"const": "y"}]}}}))
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-4i64..4).prop_map(Value::from),
        (-4i64..4).prop_map(|n| json!(n as f64)),
        (-40i64..40).prop_map(|n| json!(n as f64 / 8.0)),
        "[xyé]{0,4}".prop_map(Value::from),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalars(),
        1 => proptest::collection::vec(scalars(), 0..4).prop_map(Value::from),
        1 => proptest::collection::hash_map("[efg]", scalars(), 0..3).prop_map(|m| json!(m)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_same_inputs_fit_as_by_the_standard(input in proptest::collection::btree_map("[a-h]", values(), 0..6)) {
        let (command, value) = (plain(), json!(input));
        let ours = validate_input(&command, value.as_object().unwrap());
        prop_assert_eq!(ours.is_ok(), standard(&command, &value), "{:?}", ours);
    }
}
