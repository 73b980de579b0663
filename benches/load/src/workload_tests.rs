use std::time::Duration;

use crate::{Crowd, Operation, payload, verify};

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

#[test]
fn a_crowd_reads_as_it_is_written() {
    let crowd: Crowd = "4:32:1".parse().unwrap();
    assert_eq!((crowd.callers, crowd.size), (4, 32));
    assert_eq!(crowd.pause, Duration::from_millis(1));
    assert_eq!(crowd.to_string(), "4:32:1");
    for text in ["", "4:32", "4:32:1:1", "4:32:x"] {
        let error = text.parse::<Crowd>().unwrap_err();
        assert!(error.to_string().contains(&format!("`{text}`")));
    }
}
