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
    assert!(LIMITED.check_request(3).is_ok());
    let refused = LIMITED.check_request(4).expect_err("one byte too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("/p.S/M takes 3"), "{refused}");
    assert!(LIMITED.check_response(0).is_ok());
    assert!(LIMITED.check_response(1).is_err());
    assert!(SAY_HELLO.check_request(usize::MAX).is_ok());
}
