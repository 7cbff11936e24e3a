//! `fanfare token create`.

use serde_json::{Map, Value, json};

use super::arguments::CreateToken;
use super::exit::Failure;
use super::moment::now_unix;
use super::output;
use crate::config::{TokenKey, Tokens};
use crate::identity::{Algorithm, Family, SigningKey, read_file};

/// Prints a token.
pub(super) fn create_token(create: &CreateToken, tokens: &Tokens) -> Result<(), Failure> {
    let key = signing_key(create, tokens)?;
    let claims = Value::Object(claims(create, tokens, now_unix()));
    let token = key.sign(&claims.to_string()).ok_or_else(|| Failure::Runtime("the key does not sign".to_owned()))?;
    if !create.json {
        return output::print(format!("{token}\n").as_bytes());
    }
    let mut header = json!({ "alg": key.algorithm(), "typ": "JWT" });
    if let Some(id) = key.id() {
        header["kid"] = id.into();
    }
    output::print(format!("{}\n", json!({ "token": token, "header": header, "claims": claims })).as_bytes())
}

fn claims(create: &CreateToken, tokens: &Tokens, now_unix: u64) -> Map<String, Value> {
    let ttl_secs = create.ttl.0.as_secs();
    let audience = create.audience.as_ref().or(tokens.audience.as_ref());
    let issuer = create.issuer.as_ref().or(tokens.issuer.as_ref());
    let channels: Vec<&str> = create.channels.iter().map(|topic| topic.as_str()).collect();
    let all = [
        ("sub", Some(create.user.as_str().into())),
        ("channel", create.subscribe.as_ref().map(|topic| topic.as_str().into())),
        ("iat", Some(now_unix.into())),
        ("exp", (ttl_secs > 0).then(|| (now_unix + ttl_secs).into())),
        ("jti", create.id.as_deref().map(Value::from)),
        ("aud", audience.map(|name| name.as_str().into())),
        ("iss", issuer.map(|name| name.as_str().into())),
        ("info", create.info.clone()),
        ("meta", create.meta.clone()),
        ("channels", (!channels.is_empty()).then(|| channels.into())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The key that was given, else one of the configuration.
fn signing_key(create: &CreateToken, tokens: &Tokens) -> Result<SigningKey, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let file = |path| read_file(path).map_err(|error| Failure::Usage(error.to_string()));
    let id = create.key.as_deref();
    if let Some(path) = &create.private_key_file {
        let pem = file(path)?;
        return SigningKey::private(create.algorithm, &pem, id)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())));
    }
    let secret = match (&create.secret, &create.secret_file) {
        (Some(secret), _) => Some(secret.clone().into_bytes()),
        (None, Some(path)) => Some(file(path)?),
        (None, None) => None,
    };
    if let Some(secret) = secret {
        let algorithm = create.algorithm.unwrap_or(Algorithm::Hs256);
        return SigningKey::secret(algorithm, &secret, id).map_err(|error| usage(&error));
    }
    let entry = entry(id, tokens)?;
    let secret = match (&entry.secret, &entry.secret_file) {
        (Some(secret), _) => secret.clone().into_bytes(),
        (None, Some(path)) => file(path)?,
        (None, None) => return Err(Failure::Usage(ONLY_PUBLIC.to_owned())),
    };
    SigningKey::secret(entry.algorithm, &secret, entry.id.as_deref()).map_err(|error| usage(&error))
}

const ONLY_PUBLIC: &str = "the configuration has only public keys of these tokens, which verify and do not sign: give the \
    private one with --private-key-file";

const NONE: &str = "nothing to sign with: give --secret-file or --private-key-file, or with --config a configuration that \
    has a secret in [[tokens.keys]]";

/// The entry of `tokens.keys` that signs: the one with this id, else the first that has a secret.
fn entry<'t>(id: Option<&str>, tokens: &'t Tokens) -> Result<&'t TokenKey, Failure> {
    let known = || tokens.keys.iter().filter_map(|entry| entry.id.as_deref()).collect::<Vec<_>>().join(", ");
    let found = match id {
        Some(id) => {
            let found = tokens.keys.iter().find(|entry| entry.id.as_deref() == Some(id));
            return found.ok_or_else(|| Failure::Usage(format!("no key has the id {id:?}; there is: {}", known())));
        }
        None => tokens.keys.iter().find(|entry| entry.algorithm.family() == Family::Secret),
    };
    found.ok_or_else(|| Failure::Usage(if tokens.are_known() { ONLY_PUBLIC } else { NONE }.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::arguments::{Arguments, Command, Token};
    use super::*;
    use crate::config::Config;

    fn create(arguments: &[&str]) -> Box<CreateToken> {
        let all = [&["fanfare", "token", "create", "--user", "ada"], arguments].concat();
        match Arguments::try_parse_from(all).unwrap().command {
            Some(Command::Token { token: Token::Create(create) }) => create,
            other => panic!("{other:?}"),
        }
    }

    fn tokens(text: &str) -> Tokens {
        Config::from_toml(text, std::path::Path::new("")).unwrap().tokens
    }

    #[test]
    fn claims_are_those_that_were_asked_for_and_what_the_configuration_wants() {
        let plain = claims(&create(&[]), &Tokens::default(), 100);
        assert_eq!(Value::Object(plain), json!({ "sub": "ada", "iat": 100, "exp": 3700 }));
        let wanted = tokens("tokens = { audience = \"push\", issuer = \"shop\" }");
        let all = create(&[
            "--ttl",
            "0s",
            "--info",
            "{\"a\":1}",
            "--meta",
            "2",
            "--channel",
            "x",
            "--channel",
            "y",
            "--id",
            "t1",
            "--issuer",
            "me",
        ]);
        let expected = json!({
            "sub": "ada", "iat": 100, "jti": "t1", "aud": "push", "iss": "me", "info": { "a": 1 }, "meta": 2,
            "channels": ["x", "y"],
        });
        assert_eq!(Value::Object(claims(&all, &wanted, 100)), expected);
        let subscription = claims(&create(&["--subscribe", "x"]), &Tokens::default(), 100);
        assert_eq!(subscription["channel"], "x");
        assert!(!subscription.contains_key("channels"));
    }

    #[test]
    fn the_first_secret_of_the_configuration_signs_or_the_one_with_the_id() {
        let two = tokens(
            "[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"one\"\n\
             [[tokens.keys]]\nalgorithm = \"HS512\"\nsecret = \"two\"\nid = \"b\"\n",
        );
        let signer = |arguments: &[&str]| {
            let key = signing_key(&create(arguments), &two).unwrap();
            (key.algorithm(), key.id().map(str::to_owned))
        };
        assert_eq!(signer(&[]), (Algorithm::Hs256, None));
        assert_eq!(signer(&["--key", "b"]), (Algorithm::Hs512, Some("b".to_owned())));
        assert_eq!(signer(&["--secret", "x", "--key", "c"]), (Algorithm::Hs256, Some("c".to_owned())));
        let told =
            |arguments: &[&str], tokens: &Tokens| signing_key(&create(arguments), tokens).unwrap_err().to_string();
        assert!(told(&["--key", "x"], &two).contains("there is: b"));
        assert_eq!(told(&[], &Tokens::default()), NONE);
        let fetched = tokens("tokens.jwks_url = \"https://a.example/\"");
        assert_eq!(told(&[], &fetched), ONLY_PUBLIC);
        assert!(told(&["--secret", ""], &two).contains("empty"));
        assert!(told(&["--private-key-file", "/nowhere"], &two).contains("/nowhere"));
    }
}
