//! What settings of the generator do to the code.

use iip_rpc::bytes::Bytes;
use iip_rpc::prost::Message;
use iip_rpc::prost_types::FileDescriptorSet;
use iip_rpc::{Code, Request, Response, Status};
use iip_tests::fixtures::bytes_fields::bytes::fields;
use iip_tests::fixtures::default_stubs::stubs;
use iip_tests::fixtures::descriptors::described;

/// Has only the method that was there from the start.
struct Old;

impl stubs::Growing for Old {
    async fn first(
        &self,
        request: Request<stubs::Message>,
    ) -> Result<Response<stubs::Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[test]
fn methods_left_out_are_unimplemented() {
    iip_rpc::run(async {
        let client = stubs::GrowingClient::new(stubs::GrowingServer::new(Old));
        let message = stubs::Message { number: 1 };
        let reply = client.first(message).await.expect("an answer");
        assert_eq!(reply.into_inner(), message);
        let second = match client.second(message).await {
            Ok(response) => response.into_inner().message().await.map(|_| ()),
            Err(status) => Err(status),
        };
        let third = match client.third(()).await {
            Ok((_out, reply)) => reply.await.map(|_| ()),
            Err(status) => Err(status),
        };
        #[allow(deprecated)]
        let fourth = match client.fourth(()).await {
            Ok((_out, mut stream)) => stream.message().await.map(|_| ()),
            Err(status) => Err(status),
        };
        for (name, answer) in [("Second", second), ("Third", third), ("Fourth", fourth)] {
            let status = answer.expect_err("no answer");
            assert_eq!(status.code(), Code::Unimplemented);
            assert_eq!(
                status.message(),
                format!("the method /stubs.Growing/{name} is not implemented")
            );
        }
    });
}

#[test]
fn descriptors_are_embedded_with_what_they_import() {
    let names = |set: &[u8]| -> Vec<String> {
        let set = FileDescriptorSet::decode(set).expect("a set of descriptors");
        assert!(set.file.iter().all(|file| file.source_code_info.is_none()));
        set.file
            .into_iter()
            .map(|file| file.name.expect("a name"))
            .collect()
    };
    let imported = ["google/protobuf/descriptor.proto", "base/option.proto"];
    assert_eq!(names(described::base::FILE_DESCRIPTOR_SET), imported);
    let set = described::FILE_DESCRIPTOR_SET;
    let all = [
        "google/protobuf/descriptor.proto",
        "base/option.proto",
        "door.proto",
    ];
    assert_eq!(names(set), all);
    let option = b"keeper";
    let kept = set.windows(option.len()).any(|window| window == option);
    assert!(kept, "options that the generator does not know are kept");
}

#[test]
fn bytes_fields_are_bytes_wherever_they_are() {
    let bytes = Bytes::from_static(b"bytes");
    let all = fields::All {
        one: bytes.clone(),
        many: vec![bytes.clone()],
        named: [("name".to_owned(), bytes.clone())].into(),
        perhaps: Some(bytes.clone()),
        choice: Some(fields::all::Choice::Chosen(bytes)),
    };
    let read = fields::All::decode(Bytes::from(all.encode_to_vec()));
    assert_eq!(read.expect("the same message"), all);
}
