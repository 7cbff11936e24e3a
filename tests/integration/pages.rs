//! Pages: texts, files and directories of the configuration, the try-it page, and no way out of a directory.

use crate::hub::TestHub;

/// A directory with files, one of them beside what is served, and a hub that serves it.
fn hub() -> (tempfile::TempDir, TestHub) {
    let directory = tempfile::tempdir().unwrap();
    let public = directory.path().join("public");
    std::fs::create_dir_all(public.join("deep")).unwrap();
    for (file, text) in [
        ("public/index.html", "<p>index</p>"),
        ("public/style.css", "p { color: teal }"),
        ("public/deep/data.json", "{}"),
        ("public/.hidden", "hidden"),
        ("secret.txt", "secret"),
        ("page.html", "<p>page</p>"),
    ] {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    std::os::unix::fs::symlink("../secret.txt", public.join("link.txt")).unwrap();
    let root = directory.path().display();
    let hub = TestHub::start(
        1,
        &format!(
            "[[pages]]\npath = \"/static\"\ndirectory = \"{root}/public\"\n\
             [[pages]]\npath = \"/page\"\nfile = \"{root}/page.html\"\n\
             [[pages]]\npath = \"/text\"\ntext = \"plain words\"\n"
        ),
    );
    (directory, hub)
}

#[test]
fn files_come_with_their_types() {
    let (_directory, hub) = hub();
    let mut http = hub.http();
    for (path, content_type, body) in [
        ("/static/", "text/html; charset=utf-8", "<p>index</p>"),
        ("/static/style.css", "text/css; charset=utf-8", "p { color: teal }"),
        ("/static/deep/data.json", "application/json", "{}"),
        ("/page", "text/html; charset=utf-8", "<p>page</p>"),
        ("/text", "text/plain; charset=utf-8", "plain words"),
    ] {
        let page = http.get(path);
        assert_eq!((page.status, page.text()), (200, body), "{path}");
        assert_eq!(page.header("content-type"), Some(content_type), "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let head = http.request("HEAD", path, &[], b"");
        assert_eq!(head.header("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn an_etag_that_is_still_right_is_answered_304() {
    let (directory, hub) = hub();
    let mut http = hub.http();
    let etag = http.get("/static/style.css").header("etag").unwrap().to_owned();
    let again = http.request("GET", "/static/style.css", &[("If-None-Match", &etag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    std::fs::write(directory.path().join("public/style.css"), "p { color: olive }").unwrap();
    let changed = http.request("GET", "/static/style.css", &[("If-None-Match", &etag)], b"");
    assert_eq!((changed.status, changed.text()), (200, "p { color: olive }"));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let (_directory, hub) = hub();
    for path in [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/deep/../../secret.txt",
        "/static//etc/passwd",
        "/static/%00",
        "/static/..%5csecret.txt",
        "/static/link.txt",
        "/static/.hidden",
        "/static/nothing.txt",
        "/static/deep/..%c0%af",
    ] {
        let answer = hub.http().get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret\n"), "{path}");
        assert_ne!(answer.body, b"secret", "{path}");
        assert_ne!(answer.body, b"hidden", "{path}");
    }
}

#[test]
fn the_try_it_page_is_at_the_root_and_needs_nothing_from_elsewhere() {
    let (_directory, hub) = hub();
    let page = hub.http().get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src"), "{policy}");
    for foreign in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.text().contains(foreign), "{foreign}");
    }
    let without = TestHub::start(1, "try_it_page = false\n");
    assert_eq!(without.http().get("/").status, 404);
}
