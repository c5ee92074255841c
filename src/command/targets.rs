//! The objects that a command is about, named as for kubectl: `certificate www api`, or `certificate/www issuer/acme`.

use clap::Args;

use super::Error;
use super::kind::Kind;
use super::outlook::named;

/// The objects.
#[derive(Args, Clone, Debug)]
pub struct Targets {
    /// A kind and names, such as `issuer acme`, or several of the form `issuer/acme`.
    #[arg(required = true, value_name = "KIND/NAME")]
    objects: Vec<String>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Target {
    /// The object in messages. A namespace matters unless the object is of the whole cluster.
    pub fn called(&self, namespace: &str) -> String {
        let namespace = (self.kind != Kind::ClusterIssuer).then_some(namespace);
        named(self.kind.as_str(), namespace, &self.name)
    }
}

impl Targets {
    /// The objects, in the order in which they were given. Their kinds must be among `accepted`.
    ///
    /// # Errors
    /// [`Error::Usage`], if they cannot be understood.
    pub fn parse(&self, accepted: &[Kind]) -> Result<Vec<Target>, Error> {
        let targets = parse(&self.objects, accepted);
        targets.map_err(|why| {
            let kinds: Vec<_> = accepted.iter().map(|kind| kind.singular()).collect();
            Error::Usage(format!(
                "{why}; give a kind and names, such as `{first} NAME`, or several of the form `{first}/NAME`, where the kind is \
                 {}",
                kinds.join(" or "),
                first = kinds.first().copied().unwrap_or_default()
            ))
        })
    }
}

fn parse(objects: &[String], accepted: &[Kind]) -> Result<Vec<Target>, String> {
    let kind = |text: &str| match Kind::parse(text) {
        Some(kind) if accepted.contains(&kind) => Ok(kind),
        Some(kind) => Err(format!("this command is not for a {}", kind.as_str())),
        None => Err(format!("there is no kind {text:?}")),
    };
    let target = |kind: Kind, name: &str| match name.is_empty() || name.contains('/') {
        true => Err(format!("{name:?} is not a name")),
        false => Ok(Target { kind, name: name.to_owned() }),
    };
    match objects.split_first() {
        Some((first, names)) if !first.contains('/') => {
            let kind = kind(first)?;
            if names.is_empty() {
                return Err(format!("the name of the {} is missing", kind.as_str()));
            }
            names.iter().map(|name| target(kind, name)).collect()
        }
        _ => objects
            .iter()
            .map(|object| {
                let (of, name) = object.split_once('/').ok_or(format!("{object:?} has no kind"))?;
                target(kind(of)?, name)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(objects: &[&str], accepted: &[Kind]) -> Result<Vec<(Kind, String)>, String> {
        let objects: Vec<String> = objects.iter().map(|&object| object.to_owned()).collect();
        let targets = parse(&objects, accepted)?;
        Ok(targets.into_iter().map(|target| (target.kind, target.name)).collect())
    }

    #[test]
    fn objects_are_named_as_for_kubectl() {
        let two = |kind| Ok(vec![(kind, "a".to_owned()), (kind, "b".to_owned())]);
        assert_eq!(parsed(&["certificate", "a", "b"], &Kind::ALL), two(Kind::Certificate));
        assert_eq!(parsed(&["Issuers/a", "issuers.certwright.dev/b"], &Kind::ALL), two(Kind::Issuer));
        assert_eq!(
            parsed(&["cert/a", "clusterissuer/b"], &Kind::ALL),
            Ok(vec![(Kind::Certificate, "a".to_owned()), (Kind::ClusterIssuer, "b".to_owned())])
        );
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (objects, why) in [
            (&["pod/a"][..], "there is no kind \"pod\""),
            (&["issuer"], "the name of the Issuer is missing"),
            (&["issuer", "issuer/a"], "\"issuer/a\" is not a name"),
            (&["issuer/a", "b"], "\"b\" has no kind"),
            (&["issuer/"], "\"\" is not a name"),
            (&["certificate/a"], "this command is not for a Certificate"),
        ] {
            assert_eq!(parsed(objects, &[Kind::Issuer]), Err(why.to_owned()));
        }
    }
}
