//! Certificates at rest that were not issued: their TLS Secrets and statuses are as an issuance would leave them.
//!
//! Both come from the operator's own code: `core::tls_secret` renders the Secret, and the machine of `core::issuance` goes
//! through the last steps of the issuance. Only the CA is another one, which signs without being asked.

use std::{cell::OnceCell, collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use certwright_acme::{AcmeResponse, NewOrder, Order, OrderStatus, RenewalInfo, SuggestedWindow};
use certwright_api::{
    Certificate, CertificatePrivateKey, CertificateSpec, CertificateStatus, FIELD_MANAGER, GROUP, IssuerKind,
    IssuerRef, PrivateKeyAlgorithm, SECRET_TLS, VERSION,
};
use certwright_core::{
    backoff::Backoff,
    issuance::{Ending, IssuanceStep, IssuerView, Outcome, Report, Snapshot, State, next_step},
    reissue::SecretView,
    renewal::RenewalInfoPolling,
    revocation::RevocationRequests,
    secret::{TYPE_TLS, labels},
    served,
    spec::ValidatedCertificate,
    tls_secret::{tls_annotations, tls_data, view},
};
use certwright_pki::{Chain, PrivateKey};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

/// How long the certificates are valid.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// They were issued within so long: renewals, at two thirds of the lifetime, are then due from ten days to sixty.
const ISSUED_WITHIN: SignedDuration = SignedDuration::from_hours(50 * 24);
/// When the CA wants to be asked for renewal information again.
pub const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// More steps than the end of an issuance has.
const STEPS: usize = 10;

/// A Certificate for `name`, as a user would create it.
pub fn certificate(namespace: &str, name: &str, issuer: &IssuerRef) -> Certificate {
    let dns_name = format!("{name}.{namespace}.example");
    let spec = CertificateSpec {
        secret_name: format!("{name}-tls"),
        dns_names: vec![dns_name],
        issuer_ref: issuer.clone(),
        private_key: Some(CertificatePrivateKey {
            algorithm: Some(PrivateKeyAlgorithm::Ecdsa),
            size: Some(256),
            ..CertificatePrivateKey::default()
        }),
        ..CertificateSpec::default()
    };
    let mut certificate = Certificate::new(name, spec);
    certificate.metadata.namespace = Some(namespace.to_owned());
    certificate
}

/// A reference to an issuer.
pub fn issuer_ref(kind: IssuerKind, name: &str) -> IssuerRef {
    IssuerRef { name: name.to_owned(), kind, group: certwright_api::GROUP.to_owned() }
}

/// When number `number` of `of` was issued.
pub fn issued(number: usize, of: usize, now: Timestamp) -> Timestamp {
    let ago = ISSUED_WITHIN.as_secs_f64() * number as f64 / of as f64;
    let second = now.as_second() - ago as i64;
    Timestamp::from_second(second).unwrap_or(now)
}

/// The CA that signs what is at rest.
pub struct Signer {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key_identifier: Vec<u8>,
}

impl Signer {
    pub fn create() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "bench intermediate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let key_identifier = params.key_identifier(&key);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key)?, key_identifier })
    }

    /// The TLS Secret of a Certificate that was issued at `issued`.
    pub fn secret(&self, certificate: &Certificate, issued: Timestamp) -> Result<Secret> {
        let wanted = ValidatedCertificate::new(&certificate.spec, None)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(wanted.subject.dns_names.clone())?;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(u64::try_from(issued.as_second())?);
        params.not_after = params.not_before + Duration::from_secs(LIFETIME.as_secs().unsigned_abs());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = Chain::parse_pem(format!("{}{}", leaf.pem(), self.issuer.pem()).as_bytes())?;
        let key = PrivateKey::from_pem(key.serialize_pem().as_bytes())?;
        chain.check(&key, &wanted.subject, issued)?;
        let ca = chain.topmost_pem();
        let pem = key.to_pem(wanted.encoding)?;
        Ok(Secret {
            metadata: ObjectMeta {
                namespace: certificate.namespace(),
                name: Some(wanted.secret_name.clone()),
                labels: Some(labels(SECRET_TLS, wanted.labels.clone())),
                annotations: Some(tls_annotations(&wanted, &certificate.name_any())),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE_TLS.to_owned()),
            data: Some(tls_data(
                chain.pem().as_bytes(),
                Some(pem.as_bytes()),
                ca.as_deref().map(str::as_bytes),
            )),
            ..Secret::default()
        })
    }
}

/// Writes Certificates and Secrets.
pub struct Writer {
    client: Client,
    signer: Signer,
    by_operator: PatchParams,
    suggests: Option<SuggestedWindow>,
}

impl Writer {
    /// Writes with `client`.
    pub fn new(client: Client) -> Result<Self> {
        let by_operator = PatchParams::apply(FIELD_MANAGER).force();
        Ok(Self { client, signer: Signer::create()?, by_operator, suggests: None })
    }

    /// As if the CA had suggested this window, and wanted to be asked again [soon](ASKED_AGAIN).
    pub fn suggesting(self, window: Option<SuggestedWindow>) -> Self {
        Self { suggests: window, ..self }
    }

    /// The key of the CA, as its certificates name it.
    pub fn authority_key_identifier(&self) -> &[u8] {
        &self.signer.key_identifier
    }

    /// Creates the Certificate, its Secret and its status, in this order.
    pub async fn write(&self, certificate: &Certificate, account: &str, issued: Timestamp) -> Result<()> {
        let namespace = certificate.namespace().context("a Certificate without a namespace")?;
        let certificates = Api::<Certificate>::namespaced(self.client.clone(), &namespace);
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let certificate = certificates.create(&by_user(), certificate).await?;
        let secret = self.signer.secret(&certificate, issued)?;
        let secret = secrets.patch(&secret.name_any(), &self.by_operator, &Patch::Apply(&secret)).await?;
        let status = status_at_rest(&certificate, &secret, account, issued, self.suggests)?;
        let name = certificate.name_any();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Certificate",
            "metadata": {"name": name, "uid": certificate.uid()},
            "status": status,
        });
        certificates.patch_status(&name, &self.by_operator, &Patch::Apply(&patch)).await?;
        Ok(())
    }
}

/// How a user creates objects.
pub fn by_user() -> PostParams {
    PostParams { field_manager: Some("user".to_owned()), ..PostParams::default() }
}

/// The status that the issuance of `secret` leaves, at a CA that suggests this window, or none. Both objects are given as the API
/// server has returned them.
pub fn status_at_rest(
    certificate: &Certificate,
    secret: &Secret,
    account: &str,
    issued: Timestamp,
    suggests: Option<SuggestedWindow>,
) -> Result<CertificateStatus> {
    let (name, uid) = (certificate.name_any(), certificate.uid().context("a Certificate without uid")?);
    let wanted = ValidatedCertificate::new(&certificate.spec, None);
    let issuer = IssuerView::Ready {
        account: account.to_owned(),
        solvers: Vec::new(),
        profile: None,
        authorized: Vec::new(),
    };
    let (missing, stored) = (SecretView::default(), view(secret, Some(name.clone()), true));
    let before = Snapshot {
        uid: &uid,
        generation: certificate.metadata.generation.context("a Certificate without generation")?,
        labels: certificate.labels(),
        annotations: certificate.annotations(),
        namespace: certificate.metadata.namespace.as_deref().unwrap_or_default(),
        renew_request: None,
        wanted: &wanted,
        claimed_by: None,
        kept_by: None,
        secret: &missing,
        backup: None,
        duplicate_limit: 0,
        min_interval: Duration::ZERO,
        password_missing: None,
        next_key: None,
        issuer: &issuer,
        not_allowed: None,
        candidates: &[],
        recorded: certificate.status.as_ref(),
        asks_lifetime: false,
        checks_caa: false,
        backoff: Backoff::default(),
        ca_ahead: Some(SignedDuration::ZERO),
        self_check_timeout: Duration::from_secs(60),
        name: &name,
        has_finalizer: false,
        asking: RenewalInfoPolling { wanted: suggests.is_some(), asked: None, began: issued },
        revocation: RevocationRequests::default(),
        listed: None,
        checks_lists: false,
        served: served::Observed::Off,
    };
    let (after, asked) = (Snapshot { secret: &stored, ..before }, OnceCell::new());
    let mut state = State { status: certificate.status.clone().unwrap_or_default(), ..State::default() };
    state.apply(&before, placed(wanted.as_ref().map_err(Clone::clone)?, account), issued);
    state.apply(&after, Outcome::Stored, issued);
    state.apply(&after, Outcome::Ended(Ending::Done), issued);
    for _ in 0..STEPS {
        let after = Snapshot { asking: RenewalInfoPolling { asked: asked.get(), ..after.asking }, ..after };
        match next_step(&state, &after, issued) {
            IssuanceStep::AskForRenewalInfo { .. } => {
                let value =
                    suggests.map(|suggested_window| RenewalInfo { suggested_window, explanation_url: None });
                let value = value.context("nobody asks for renewal information")?;
                let answer = AcmeResponse { value, location: None, retry_after: Some(ASKED_AGAIN) };
                let told = state.apply(&after, Outcome::RenewalInfoRead(Ok(Some(answer))), issued);
                for report in told.reports {
                    if let Report::RenewalInfoAsked(poll) = report {
                        asked.set(poll).map_err(|_| anyhow!("it is asked for twice"))?;
                    }
                }
            }
            IssuanceStep::Remove(_) => drop(state.apply(&after, Outcome::Removed, issued)),
            IssuanceStep::Rest { until } => {
                state.apply(&after, Outcome::Rested { until }, issued);
                return Ok(state.status);
            }
            step => bail!("the issuance of {name} goes on with {step:?}"),
        }
    }
    bail!("the issuance of {name} does not end")
}

fn placed(wanted: &ValidatedCertificate, account: &str) -> Outcome {
    let asked =
        NewOrder { identifiers: wanted.identifiers(), not_after: None, profile: None, replaces: None };
    let order = Order {
        status: OrderStatus::Valid,
        expires: None,
        identifiers: asked.identifiers.clone(),
        authorizations: Vec::new(),
        error: None,
        finalize: String::new(),
        certificate: None,
        profile: None,
    };
    let answer = AcmeResponse { value: order, location: Some(format!("{account}/order")), retry_after: None };
    Outcome::OrderPlaced { asked, account: account.to_owned(), answer: Ok(answer) }
}

/// Fails unless `made` has the form of `real`, which the operator left: the same fields, though not the same values.
pub fn ensure_alike(what: &str, made: &Value, real: &Value) -> Result<()> {
    let (made, real) = (form(made), form(real));
    let lacks: Vec<_> = real.difference(&made).collect();
    let surplus: Vec<_> = made.difference(&real).collect();
    ensure!(
        lacks.is_empty() && surplus.is_empty(),
        "{what} is not as the operator leaves it: it lacks {lacks:?} and has {surplus:?}"
    );
    Ok(())
}

/// The paths of all fields. Values count where there are few, as of conditions.
fn form(value: &Value) -> BTreeSet<String> {
    const VALUES: [&str; 5] = ["type", "status", "reason", "manager", "operation"];
    let mut paths = BTreeSet::new();
    let mut rest = vec![(String::new(), value)];
    while let Some((path, value)) = rest.pop() {
        match value {
            Value::Object(fields) => {
                rest.extend(fields.iter().map(|(name, value)| (format!("{path}.{name}"), value)));
            }
            Value::Array(items) => rest.extend(items.iter().map(|item| (format!("{path}[]"), item))),
            Value::String(text) if VALUES.iter().any(|name| path.ends_with(&format!(".{name}"))) => {
                paths.insert(format!("{path}={text}"));
            }
            _ => drop(paths.insert(path)),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_ready_and_renewed_in_weeks() {
        let now = Timestamp::now();
        let mut certificate = certificate("web", "www", &issuer_ref(IssuerKind::ClusterIssuer, "ca"));
        certificate.metadata.uid = Some("uid".to_owned());
        certificate.metadata.generation = Some(1);
        let signer = Signer::create().unwrap();
        for number in [0, 99] {
            let issued = issued(number, 100, now);
            let secret = signer.secret(&certificate, issued).unwrap();
            let status =
                status_at_rest(&certificate, &secret, "https://ca.example/account", issued, None).unwrap();
            let status = serde_json::to_value(status).unwrap();
            let ready = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready");
            assert_eq!(ready.unwrap()["status"], "True", "{status}");
            assert_eq!(status["revision"], 1);
            assert_eq!(status["recentIssuances"][0]["account"], "https://ca.example/account");
            assert!(status["order"].is_null());
            let renewal: Timestamp = status["renewalTime"].as_str().unwrap().parse().unwrap();
            assert!(renewal.duration_since(now) > SignedDuration::from_hours(5 * 24), "{renewal}");
        }
    }

    #[test]
    fn other_fields_and_other_conditions_are_told() {
        let real = json!({"conditions": [{"type": "Ready", "status": "True"}], "revision": 1});
        let other = json!({"conditions": [{"type": "Ready", "status": "False"}], "revision": 2});
        let same = json!({"conditions": [{"type": "Ready", "status": "True"}], "revision": 2});
        assert!(ensure_alike("it", &same, &real).is_ok());
        assert!(ensure_alike("it", &other, &real).is_err());
        assert!(ensure_alike("it", &json!({"revision": 1}), &real).is_err());
    }
}
