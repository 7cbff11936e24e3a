//! What is configured under `[[pages]]`, and its answers.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, REFERRER_POLICY,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::etag::ETag;
use super::file::{Content, FileError, Files, Found};
use super::path::below;
use super::try_it;
use crate::api::body_budget::BodyBudget;
use crate::api::{Body, Surface, answer, problem};
use crate::config::{Config, Page};
use crate::refusal::Refusal;

/// The pages of a configuration, resolved when the hub starts.
#[derive(Debug)]
pub struct Pages {
    pages: Box<[Source]>,
    try_it: Content,
    files: Files,
}

enum Source {
    Text(Content),
    /// A file in its directory, both as they really are.
    File {
        directory: PathBuf,
        name: PathBuf,
    },
    /// A directory as it really is, and the URL prefix it is served under, with a slash at its end.
    Directory {
        root: PathBuf,
        prefix: String,
    },
}

/// A page cannot be served as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A file or directory cannot be read.
    #[error("pages.{key} {} of {page:?}: cannot be read", path.display())]
    Missing {
        /// `file` or `directory`.
        key: &'static str,
        /// The page's URL path.
        page: String,
        /// The configured path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is a directory, or the other way round.
    #[error("pages.{key} {} of {page:?}: is not a {key}", path.display())]
    WrongKind {
        /// `file` or `directory`.
        key: &'static str,
        /// The page's URL path.
        page: String,
        /// The configured path.
        path: PathBuf,
    },
    /// None or more than one of `text`, `file` and `directory` is set.
    #[error("pages {page:?}: needs exactly one of text, file and directory")]
    NotOneSource {
        /// The page's URL path.
        page: String,
    },
}

impl Pages {
    /// Resolves the files and directories of `config.pages`. Blocks on the file system.
    pub fn new(config: &Config) -> Result<Self, PagesError> {
        Ok(Self {
            pages: config.pages.iter().map(Source::new).collect::<Result<_, _>>()?,
            try_it: content(try_it::HTML),
            files: Files::new(BodyBudget::LIMIT_BYTES),
        })
    }

    /// Answers a GET or HEAD on the page with this index, for the path of `head`.
    pub async fn serve(&self, surface: &Surface, index: usize, head: &Parts) -> Response<Body> {
        let Some(source) = self.pages.get(index) else {
            return problem(Refusal::UnknownPath, head.uri.path(), surface);
        };
        let found = match source {
            Source::Text(content) => return served(head, content, "text/plain; charset=utf-8"),
            Source::File { directory, name } => self.files.find(directory, name, false).await,
            Source::Directory { root, prefix } => {
                let path = head.uri.path();
                if path.len() < prefix.len() {
                    return to_directory(head);
                }
                match below(&path[prefix.len()..]) {
                    Some(wanted) => self.files.find(root, &wanted.path, wanted.is_directory).await,
                    None => Ok(Found::Nothing),
                }
            }
        };
        match found {
            Ok(Found::File(path, content)) => served(head, &content, &content_type(&path)),
            Ok(Found::Directory) => to_directory(head),
            Ok(Found::Nothing) => problem(Refusal::UnknownPath, head.uri.path(), surface),
            Err(error @ FileError::NoRoom) => problem(Refusal::Overloaded, error, surface),
            Err(error @ (FileError::Read { .. } | FileError::TooLarge { .. } | FileError::Ended)) => {
                tracing::warn!(path = head.uri.path(), %error, "page not served");
                problem(Refusal::InternalError, error, surface)
            }
        }
    }

    /// Answers a GET or HEAD on `/` with the try-it page.
    pub fn try_it(&self, head: &Parts) -> Response<Body> {
        let mut response = served(head, &self.try_it, "text/html; charset=utf-8");
        let policy = try_it::policy(try_it::HTML, head);
        let headers = response.headers_mut();
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

impl Source {
    fn new(page: &Page) -> Result<Self, PagesError> {
        let resolved = |key, path: &Path, is_kind: fn(&Path) -> bool| {
            let (page, path) = (page.path.clone(), path.to_owned());
            match path.canonicalize() {
                Ok(real) if is_kind(&real) => Ok(real),
                Ok(_) => Err(PagesError::WrongKind { key, page, path }),
                Err(source) => Err(PagesError::Missing { key, page, path, source }),
            }
        };
        match (&page.text, &page.file, &page.directory) {
            (Some(text), None, None) => Ok(Self::Text(content(text))),
            (None, Some(file), None) => {
                let file = resolved("file", file, Path::is_file)?;
                match (file.parent(), file.file_name()) {
                    (Some(directory), Some(name)) => {
                        Ok(Self::File { directory: directory.to_owned(), name: name.into() })
                    }
                    (_, _) => Err(PagesError::WrongKind { key: "file", page: page.path.clone(), path: file }),
                }
            }
            (None, None, Some(directory)) => Ok(Self::Directory {
                root: resolved("directory", directory, Path::is_dir)?,
                prefix: format!("{}/", page.path.trim_end_matches('/')),
            }),
            (_, _, _) => Err(PagesError::NotOneSource { page: page.path.clone() }),
        }
    }
}

/// Without the texts, which may be long.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(content) => write!(f, "Text({} bytes)", content.bytes.len()),
            Self::File { directory, name } => write!(f, "File({})", directory.join(name).display()),
            Self::Directory { root, prefix } => write!(f, "Directory({} at {prefix})", root.display()),
        }
    }
}

fn content(text: &str) -> Content {
    Content { bytes: Bytes::copy_from_slice(text.as_bytes()), etag: ETag::of(text.as_bytes()) }
}

/// 200 with the content, or 304 if the client has it. Browsers ask every time (`no-cache`), which costs them no body.
fn served(head: &Parts, content: &Content, content_type: &str) -> Response<Body> {
    let mut response = if content.etag.is_known_to(&head.headers) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = Response::new(Body::new(content.bytes.clone()));
        if let Ok(content_type) = HeaderValue::try_from(content_type) {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response
    };
    response.headers_mut().insert(ETAG, content.etag.header());
    answer::with(response, CACHE_CONTROL, "no-cache")
}

/// The same path with a slash at its end, so that relative links on the index page work.
///
/// The path begins with one slash (an empty segment is no page), so it cannot be read as another host.
fn to_directory(head: &Parts) -> Response<Body> {
    // Relative, so that it is right below whatever base path the listener has.
    let name = head.uri.path().rsplit('/').next().unwrap_or_default();
    let mut location = format!("./{name}/");
    if let Some(query) = head.uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let mut response = answer::text(StatusCode::PERMANENT_REDIRECT, location.clone());
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn content_type(path: &Path) -> String {
    let guessed = mime_guess::from_path(path).first_or_octet_stream();
    if guessed.type_() == mime_guess::mime::TEXT { format!("{guessed}; charset=utf-8") } else { guessed.to_string() }
}
