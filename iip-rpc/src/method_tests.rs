use crate::{Idempotency, MethodDescriptor, MethodKind};

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
