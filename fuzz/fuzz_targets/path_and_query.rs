//! Any path and query: a route and parameters, or a refusal; a topic's name comes back from its own path.
#![no_main]

use std::sync::LazyLock;

use fanfare::api::query::{HistoryQuery, pairs};
use fanfare::api::{Route, Routes};
use fanfare::config::Config;
use libfuzzer_sys::fuzz_target;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::new(&Config::default()));

fuzz_target!(|input: (&str, &str)| {
    let (path, query) = input;
    if let Ok(Route::Topic(name)) = ROUTES.of(path) {
        assert!((1..=255).contains(&name.as_str().len()));
        assert!(!name.as_str().chars().any(char::is_control));
    }
    let _ = HistoryQuery::parse(Some(query));
    let _ = pairs(query);
});
