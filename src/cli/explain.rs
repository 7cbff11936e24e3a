//! `fanfare explain`.

use std::fmt::Write as _;

use super::close_codes::explanation;
use super::exit::Failure;
use super::output;
use crate::close_reason::CloseReason;
use crate::config::nearest;
use crate::refusal::Refusal;

/// Prints what `code` means, or all codes.
pub(super) fn explain(code: Option<&str>) -> Result<(), Failure> {
    let text = match code {
        None => list(),
        Some(code) => found(code).ok_or_else(|| Failure::Usage(unknown(code)))?,
    };
    output::print(text.as_bytes())
}

/// What is known about `code`: a refusal, a close code (which may have several reasons), or the label of a reason.
fn found(code: &str) -> Option<String> {
    let refusal = Refusal::from_code(&code.to_lowercase().replace('_', "-"));
    let label = code.to_lowercase().replace('-', "_");
    let number = code.parse::<u16>().ok();
    let reasons =
        CloseReason::ALL.into_iter().filter(|reason| Some(reason.code()) == number || reason.label() == label);
    let texts: Vec<String> = refusal.map(of_refusal).into_iter().chain(reasons.map(of_reason)).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn of_refusal(refusal: Refusal) -> String {
    format!(
        "{} (HTTP {}): {}\n\nCause: {}\nFix:   {}\n",
        refusal.code(),
        refusal.status().as_u16(),
        refusal.summary(),
        refusal.cause(),
        refusal.fix()
    )
}

fn of_reason(reason: CloseReason) -> String {
    let (cause, fix) = explanation(reason);
    format!("{} {} (close code)\n\nCause: {cause}\nFix:   {fix}\n", reason.code(), reason.label())
}

fn list() -> String {
    let mut text = "Refusals\n".to_owned();
    for refusal in Refusal::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<22} {} {}", refusal.code(), refusal.status().as_u16(), refusal.summary());
    }
    text.push_str("\nClose codes\n");
    for reason in CloseReason::ALL {
        let _ = writeln!(text, "  {:<4} {}", reason.code(), reason.label());
    }
    text.push_str("\n`fanfare explain CODE` tells the cause of each, and what to do.\n");
    text
}

fn unknown(code: &str) -> String {
    let numbers: Vec<String> = CloseReason::ALL.iter().map(|reason| reason.code().to_string()).collect();
    let labels = CloseReason::ALL.iter().map(|reason| reason.label());
    let all = Refusal::ALL.iter().map(|refusal| refusal.code()).chain(labels).chain(numbers.iter().map(String::as_str));
    let meant = match nearest(code, all) {
        Some(near) => format!("did you mean {near}? "),
        None => String::new(),
    };
    format!("no code {code:?}; {meant}`fanfare explain` lists all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_close_codes_and_labels_are_found() {
        assert!(found("origin-refused").unwrap().contains("server.origins"));
        assert!(found("Origin_Refused").is_some());
        assert!(found("4008").unwrap().contains("slow_consumer"));
        assert!(found("slow-consumer").unwrap().contains("4008"));
        let both = found("1006").unwrap();
        assert!(both.contains("gone") && both.contains("close_timeout"), "{both}");
        let refusal_and_close_code = found("publish-not-allowed").unwrap();
        assert!(refusal_and_close_code.contains("HTTP 403") && refusal_and_close_code.contains("1008"));
        assert_eq!(found("4999"), None);
    }

    #[test]
    fn an_unknown_code_is_answered_with_the_one_meant() {
        assert!(unknown("origin-refusd").contains("did you mean origin-refused?"));
        assert!(unknown("4007").contains("did you mean 400"));
        assert!(!unknown("xyzzy").contains("did you mean"));
    }

    #[test]
    fn the_list_has_every_code() {
        let list = list();
        assert!(Refusal::ALL.iter().all(|refusal| list.contains(refusal.code())));
        assert!(CloseReason::ALL.iter().all(|reason| list.contains(reason.label())));
    }

    /// The page is made from the catalogue: change that, then run this with `UPDATE_DOCS=1`.
    #[test]
    fn docs_refusals_md_is_the_catalogue() {
        let mut page = "# Refusals and close codes\n\n\
            Why something was not done, or a connection ended: the same codes in answers, logs, metrics and `fanfare explain CODE`.\n\n\
            ## Refusals\n\n\
            Over HTTP a refusal is `application/problem+json` with `code`, `title` and `detail`; on a WebSocket that speaks JSON it is\n\
            `{\"error\":{\"code\",\"message\"}}`.\n"
            .to_owned();
        for refusal in Refusal::ALL {
            let (code, status) = (refusal.code(), refusal.status());
            let (summary, cause, fix) = (refusal.summary(), refusal.cause(), refusal.fix());
            let _ = write!(page, "\n### `{code}` ({status})\n\n{summary}\n\n- **Cause.** {cause}\n- **Fix.** {fix}\n");
        }
        page.push_str("\n## Close codes\n\nCodes below 3000 are those of RFC 6455; 4000 to 4999 are fanfare's own.\n");
        for reason in CloseReason::ALL {
            let (cause, fix) = explanation(reason);
            let _ = write!(
                page,
                "\n### {} `{}`\n\n- **Cause.** {cause}\n- **Fix.** {fix}\n",
                reason.code(),
                reason.label()
            );
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/refusals.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &page).unwrap();
        }
        let written = std::fs::read_to_string(file).unwrap();
        assert!(
            page == written,
            "docs/refusals.md is not what the catalogue says: UPDATE_DOCS=1 cargo test docs_refusals"
        );
    }
}
