use crate::Code;

#[test]
fn numbers_and_names_round_trip() {
    for (number, code) in (0..).zip(Code::ALL) {
        assert_eq!(code.as_i32(), number);
        assert_eq!(Code::from_i32(number), code);
        assert_eq!(Code::from_name(&code.to_string()), Some(code));
    }
}

#[test]
fn an_unknown_number_is_unknown() {
    for number in [-1, 17, i32::MAX, i32::MIN] {
        assert_eq!(Code::from_i32(number), Code::Unknown);
    }
    assert_eq!(Code::from_name("not_found"), None);
}
