//! Generates the server half of the wire's services; the messages are `model::wire`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../model/proto");
    let files = protox::compile(["garrison/v1/link.proto"], ["../model/proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".garrison.v1", "::model::wire")
        .compile_fds(files)?;
    Ok(())
}
