//! What the framework allocates for a small unary call in steady state, beyond the messages' own memory.

use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, server_streaming, unary,
};
use iip_rpc::{Channel, Request, Response, RpcService, Sender, Server, Status, Streaming};

static ADD_ONE: MethodDescriptor = MethodDescriptor::new(
    "/test.Numbers/AddOne",
    MethodKind::Unary,
    Idempotency::Unknown,
);
static ADD_ONE_LATER: MethodDescriptor = MethodDescriptor::new(
    "/test.Numbers/AddOneLater",
    MethodKind::Unary,
    Idempotency::Unknown,
);
static COUNT: MethodDescriptor = MethodDescriptor::new(
    "/test.Numbers/Count",
    MethodKind::ServerStreaming,
    Idempotency::Unknown,
);

#[derive(Clone)]
struct Numbers(Methods);

impl Numbers {
    fn new() -> Self {
        let methods = Methods::builder("test.Numbers")
            // A number has no memory of its own: all that is counted is the framework's.
            .unary(&ADD_ONE, |request: Request<u64>| async move {
                Ok(Response::new(request.into_inner() + 1))
            })
            .unary(&ADD_ONE_LATER, |request: Request<u64>| async move {
                tokio::task::yield_now().await;
                Ok(Response::new(request.into_inner() + 1))
            })
            .server_streaming(
                &COUNT,
                |request: Request<u64>, out: Sender<u64>| async move {
                    for number in 0..request.into_inner() {
                        out.send(number).await?;
                    }
                    Ok::<_, Status>(())
                },
            );
        Self(methods.build())
    }
}

impl NamedService for Numbers {
    const NAME: &'static str = "test.Numbers";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

const CALLS: u64 = 1000;

async fn calls(service: &impl RpcService, method: &'static MethodDescriptor) {
    for number in 1..=CALLS {
        let reply: Response<u64> = unary(service, method, Request::new(number)).await.unwrap();
        assert_eq!(reply.into_inner(), number + 1);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Allocations of this thread while it makes [`CALLS`] calls, after as many to warm up. Where the server runs in a
/// thread of its own, they are the client's; otherwise both sides'.
fn allocations(method: &'static MethodDescriptor, server_apart: bool) -> u64 {
    let own = runtime();
    let apart = runtime();
    let serving = if server_apart { &apart } else { &own };
    let server = serving.block_on(
        Server::builder()
            .add_service(Numbers::new())
            .bind("127.0.0.1:0"),
    );
    let server = server.unwrap();
    let address = server.local_addr().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    serving.spawn(async move {
        let _ = server.serve().await;
    });
    let thread = server_apart.then(|| {
        std::thread::spawn(move || {
            let _ = apart.block_on(stopped);
        })
    });
    let channel = own.block_on(Channel::connect(address)).unwrap();
    own.block_on(calls(&channel, method));
    let counted = allocation_counter::measure(|| own.block_on(calls(&channel, method)));
    drop(stop);
    if let Some(thread) = thread {
        thread.join().unwrap();
    }
    counted.count_total
}

#[test]
fn a_small_call_allocates_nothing_on_the_client() {
    // Not exactly nothing: buffers of some kilobytes are replaced once in dozens of calls.
    let client = allocations(&ADD_ONE, true);
    assert!(client < CALLS / 20, "{client} in {CALLS} calls");
}

/// A handler that is ready at once allocates nothing either, but whether it is run in place or in a task depends on
/// how long it took before, and so on the load of this machine; `server/route_tests.rs` counts it without.
#[test]
fn a_handler_that_is_not_ready_at_once_costs_its_task() {
    let both = allocations(&ADD_ONE_LATER, false);
    assert!(both < 4 * CALLS, "{both} in {CALLS} calls");
}

#[test]
fn messages_of_a_stream_share_their_memory() {
    let runtime = runtime();
    let server = runtime.block_on(
        Server::builder()
            .add_service(Numbers::new())
            .bind("127.0.0.1:0"),
    );
    let server = server.unwrap();
    let address = server.local_addr().to_string();
    runtime.spawn(async move {
        let _ = server.serve().await;
    });
    let channel = runtime.block_on(Channel::connect(address)).unwrap();
    let count = async || {
        let request = Request::new(100 * CALLS);
        let numbers = server_streaming(&channel, &COUNT, request).await.unwrap();
        let mut numbers: Streaming<u64> = numbers.into_inner();
        for number in 0..100 * CALLS {
            assert_eq!(numbers.message().await.unwrap(), Some(number));
        }
        assert_eq!(numbers.message().await.unwrap(), None);
    };
    runtime.block_on(count());
    // Both sides', for a batch of messages each.
    let counted = allocation_counter::measure(|| runtime.block_on(count()));
    assert!(counted.count_total < 10 * CALLS, "{}", counted.count_total);
}
