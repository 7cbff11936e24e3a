//! The files of `config/tutorials/` load, and say what each tutorial is about.

use std::path::{Path, PathBuf};

use crate::config::{Config, Endpoint, Loaded};

fn tutorial(name: &str) -> Loaded {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tutorials").join(name);
    let loaded = Config::load(Some(&file), std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, Vec::<String>::new(), "{name}");
    assert_eq!(loaded.config.server.listen, ["127.0.0.1:8000".parse().unwrap()], "{name}");
    loaded
}

fn endpoint(loaded: &Loaded) -> &Endpoint {
    let [endpoint] = &loaded.config.endpoints[..] else { panic!("one endpoint each") };
    endpoint
}
