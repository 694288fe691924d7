//! Compiles the part of etcd's API that the hub speaks, without a system protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = "src/store/etcd";
    println!("cargo:rerun-if-changed={directory}/etcd.proto");
    let descriptors = protox::compile([format!("{directory}/etcd.proto")], [directory])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
