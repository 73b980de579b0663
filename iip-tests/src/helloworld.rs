//! The hello world. Its .proto file has a comment on everything, so that nothing lacks documentation.

iip_rpc::include_proto!("helloworld");
