use crate::{Operation, payload, verify};

#[test]
fn operations_are_read_by_name() {
    for operation in [Operation::Echo, Operation::Yield, Operation::Burn] {
        assert_eq!(operation.to_string().parse(), Ok(operation));
    }
    let error = "stream".parse::<Operation>().unwrap_err();
    assert!(error.to_string().contains("stream"));
}

#[test]
fn the_payload_of_another_caller_is_noticed() {
    for size in [1, 7, 8, 32, 1000] {
        let sent = payload(3, size);
        assert_eq!(sent.len(), size);
        verify(&sent, &payload(3, size)).unwrap();
        verify(&sent, &payload(4, size)).unwrap_err();
        verify(&sent, &payload(3, size + 1)).unwrap_err();
    }
    verify(&payload(0, 0), &payload(1, 0)).unwrap();
}
