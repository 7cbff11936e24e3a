//! The `fanfare` binary: picks the allocator and hands over to [`fanfare::cli`].

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let path = std::env::args().nth(1);
    let loaded = fanfare::config::Config::load(path.as_deref().map(std::path::Path::new), std::env::vars()).unwrap();
    fanfare::server::run(&loaded, || {}).unwrap();
}
