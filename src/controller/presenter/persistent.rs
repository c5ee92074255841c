//! Looks for the TXT records of dns-persist-01, which people set.

use jiff::Timestamp;

use super::records::resolver;
use crate::controller::context::Context;
use certwright_acme::{Account, Challenge};
use certwright_api::{CnameStrategy, DnsPersist01Solver};
use certwright_core::persistent_record::{LABEL, Offer, PersistentAccount, PersistentRecord};
use certwright_runtime::clock;

/// Until when the record for `full_name` proves control to the CA that offers `challenge`; `None` means for ever. Otherwise,
/// what is wrong, and the record to set.
pub async fn persistent(
    context: &Context,
    account: &Account,
    full_name: &str,
    challenge: &Challenge,
    solver: &DnsPersist01Solver,
    rolled_over: bool,
) -> Result<Option<Timestamp>, String> {
    let meta = account.meta().await.map_err(|error| error.to_string())?;
    let thumbprint = account.thumbprint();
    let account = PersistentAccount {
        directory: account.server().directory_url(),
        url: account.url(),
        thumbprint: &thumbprint,
        rolled_over,
    };
    let record = Offer::of_challenge(challenge, meta.account_hash_prefix.as_deref())
        .and_then(|offer| PersistentRecord::new(full_name, &offer, &account, solver))
        .map_err(|error| error.to_string())?;
    let settings = solver.propagation.as_ref();
    let nameservers = settings.map(|settings| settings.nameservers.as_slice()).unwrap_or_default();
    let check = settings.and_then(|settings| settings.check).unwrap_or(context.config.propagation_check);
    let resolver = resolver(context, nameservers)?;
    // CAs follow CNAMEs.
    let location = resolver.locate(LABEL, full_name, CnameStrategy::Follow).await;
    let location = location.map_err(|error| error.to_string())?;
    let answers = resolver.txt_values(&location, check).await.map_err(|error| error.to_string())?;
    let now = clock::now();
    let untils = answers.iter().map(|values| record.check(values, now));
    let untils = untils.collect::<Result<Vec<_>, _>>().map_err(|unfit| record.words(&unfit))?;
    Ok(untils.into_iter().flatten().min())
}
