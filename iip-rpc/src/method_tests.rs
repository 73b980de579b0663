use crate::{Code, Idempotency, MethodDescriptor, MethodKind};

static SAY_HELLO: MethodDescriptor = MethodDescriptor::new(
    "/helloworld.Greeter/SayHello",
    MethodKind::Unary,
    Idempotency::NoSideEffects,
);

#[test]
fn a_descriptor_names_its_parts() {
    assert_eq!(SAY_HELLO.path(), "/helloworld.Greeter/SayHello");
    assert_eq!(SAY_HELLO.service(), "helloworld.Greeter");
    assert_eq!(SAY_HELLO.name(), "SayHello");
    assert_eq!(SAY_HELLO.kind(), MethodKind::Unary);
    assert_eq!(SAY_HELLO.idempotency(), Idempotency::NoSideEffects);
    assert_eq!(SAY_HELLO.wire_path().as_str(), SAY_HELLO.path());
}

#[test]
fn messages_beyond_the_limit_are_refused() {
    static LIMITED: MethodDescriptor =
        MethodDescriptor::new("/p.S/M", MethodKind::Unary, Idempotency::Unknown)
            .max_request(3)
            .max_response(0);
    assert_eq!(LIMITED.request_limit(), Some(3));
    assert_eq!(LIMITED.response_limit(), Some(0));
    assert!(LIMITED.requests().check(|| 3).is_ok());
    let refused = LIMITED
        .requests()
        .check(|| 4)
        .expect_err("one byte too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        refused.message(),
        "the message has 4 bytes and /p.S/M allows 3 (setting of the generator: max_request)"
    );
    assert!(LIMITED.responses().check(|| 0).is_ok());
    assert!(LIMITED.responses().check(|| 1).is_err());
    assert!(SAY_HELLO.requests().check(|| usize::MAX).is_ok());
}
