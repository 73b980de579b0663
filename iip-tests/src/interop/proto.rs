//! The code generated from `proto/interop/interop.proto`.

iip_rpc::include_proto!("interop");
