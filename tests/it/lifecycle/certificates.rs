//! The life of its certificates.

use super::*;

impl Life<'_> {
    pub(super) async fn issue(&self) -> Result<Outcome> {
        self.apply_certificate(&self.name("web"), &self.name("ca")).await?;
        issued(self.ns, &self.name("web")).await?;
        tls(self.ns, &format!("{}-tls", self.name("web"))).await?;
        Ok(Outcome::Yes)
    }

    pub(super) async fn renew(&self) -> Result<Outcome> {
        let (name, secret) = (self.name("web"), format!("{}-tls", self.name("web")));
        let before = tls(self.ns, &secret).await?;
        let now = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        self.ns.patch(&format!("certificate/{name}"), now).await?;
        revision(self.ns, &name, 2).await?;
        let after = tls(self.ns, &secret).await?;
        ensure!(before.chain.leaf() != after.chain.leaf(), "it is the same certificate");
        Ok(Outcome::Yes)
    }

    /// An offered profile leads to a certificate, and another one to an error.
    pub(super) async fn profile(&self) -> Result<Outcome> {
        for (profile, refused) in [("other", false), ("nonsense", true)] {
            let name = self.name(profile);
            let key = format!("    privateKeySecretRef: {{ name: {}-account-key }}\n", self.name("ca"));
            let more = format!("    email: two@example.com\n    profile: {profile}\n{key}{}", binding("eab"));
            let issuer = self.apply_issuer(&name, &more).await?;
            self.ready(&issuer).await?;
            self.proxy.forget();
            self.overheard.forget();
            self.apply_certificate(&name, &name).await?;
            let settled = |object: &Value| {
                let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
                ready || object["status"]["failedIssuanceAttempts"] == 1
            };
            let object = self.ns.wait(&format!("certificate/{name}"), SOON, settled).await?;
            let (status, reason, message) = condition(&object, "Ready").context("no condition")?;
            println!("{}: profile {profile}: {reason}: {message}", self.ca.title);
            let orders = self.overheard.those(|said| said.path == path(&self.directory.new_order));
            ensure!(
                orders.first().is_some_and(|order| order.payload["profile"] == profile),
                "the order is for another profile than {profile}: {orders:?}"
            );
            if status == "True" {
                self.answered(&self.directory.new_order, 201)?;
            }
            match (refused, status == "True") {
                (false, true) => {}
                (false, false) => bail!("a profile that is offered is refused: {message}"),
                (true, false) => {
                    ensure!(self.directory.meta.profiles.contains_key("other"), "{:?}", self.directory.meta);
                    self.refused(&self.directory.new_order, &message, &["invalidProfile"])?;
                }
                (true, true) => {
                    ensure!(self.directory.meta.profiles.is_empty(), "{:?}", self.directory.meta);
                    return Ok(Outcome::No("are not looked at".to_owned()));
                }
            }
        }
        Ok(Outcome::Yes)
    }

    /// The CA is asked when to renew the certificate.
    pub(super) async fn renewal_information(&self) -> Result<Outcome> {
        if self.directory.renewal_info.is_none() {
            return Ok(Outcome::No("is not offered".to_owned()));
        }
        let name = format!("certificate/{}", self.name("web"));
        let asked = self.ns.wait(&name, SOON, |object| !object["status"]["acme"]["ari"].is_null()).await?;
        let ari = &asked["status"]["acme"]["ari"];
        println!("{}: {ari}", self.ca.title);
        ensure!(ari["suggestedWindow"]["start"].is_string(), "the CA offers it and suggests nothing: {ari}");
        Ok(Outcome::Yes)
    }

    /// The account revokes its certificate, and another certificate replaces it.
    pub(super) async fn revoke(&self) -> Result<Outcome> {
        let name = self.name("web");
        self.revoked(&name, "signed by the account", |header| header["kid"].is_string()).await
    }

    /// The certificate's own key revokes it if the account may not.
    pub(super) async fn revoke_with_own_key(&self) -> Result<Outcome> {
        let name = self.name("own");
        let revoke_cert = path(self.directory.revoke_cert.as_ref().context("no revokeCert")?);
        self.overheard.script(&self.proxy, move |said| {
            match said.path == revoke_cert && said.header["kid"].is_string() {
                true => problem(403, "urn:ietf:params:acme:error:unauthorized", "not this account"),
                false => Action::Pass,
            }
        });
        let more = format!("    email: two@example.com\n{}", binding("eab"));
        self.apply_issuer(&name, &more).await?;
        self.apply_certificate(&name, &name).await?;
        issued(self.ns, &name).await?;
        let how = "signed with the certificate's own private key";
        let outcome = self.revoked(&name, how, |header| header["jwk"].is_object()).await?;
        self.overheard.script(&self.proxy, |_| Action::Pass);
        Ok(outcome)
    }

    async fn ask_to_revoke(&self, name: &str) -> Result<()> {
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/revoke": "superseded" } } });
        self.ns.patch(&format!("certificate/{name}"), ask).await.map(drop)
    }

    /// The CA is asked to revoke the certificate in the Secret, with a request whose header is as `signed` requires.
    async fn revoked(&self, name: &str, how: &str, signed: fn(&Value) -> bool) -> Result<Outcome> {
        let url = self.directory.revoke_cert.as_ref().context("no revokeCert")?;
        let before = tls(self.ns, &format!("{name}-tls")).await?;
        let der = pem::parse(&before.secret.data.context("no data")?["tls.crt"].0)?.into_contents();
        self.proxy.forget();
        self.overheard.forget();
        self.ask_to_revoke(name).await?;
        let said = |object: &Value| condition(object, "Revocation");
        let object =
            self.ns.wait(&format!("certificate/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let asked = self.overheard.those(|said| said.path == path(url) && signed(&said.header));
        ensure!(
            asked
                .last()
                .is_some_and(|said| said.payload["certificate"] == BASE64_URL_SAFE_NO_PAD.encode(&der)),
            "the CA was not asked to revoke the certificate in the Secret {how}: {asked:?}"
        );
        if status != "True" {
            self.refused(url, &message, &["unauthorized"])?;
            return Ok(Outcome::No(words(&message)));
        }
        self.answered(url, 200)?;
        let (_, note) = event(self.ns, name, &reason).await?;
        ensure!(note.contains(how), "{note}");
        Ok(Outcome::Yes)
    }
}
