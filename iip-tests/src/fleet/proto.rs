//! The code generated from `proto/fleet/fleet.proto`.

iip_rpc::include_proto!("fleet");
