//! Whatever an issuance left is removed, however it ended.

use tracing::info;

use super::Next;
use super::gather::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::{presenter, secrets};
use crate::core::issuance::Progress;

impl Work {
    /// Removes what an issuance that has ended left.
    pub(super) async fn clean_up(&mut self, context: &Context) -> Result<Next, Error> {
        // Counted here and not where it is stored, so that a crash in between does not lose it.
        let issued = self.secret_view.leaf().map(|leaf| &leaf.serial_number);
        if self.status.order.is_some() && issued.is_some() && issued != self.status.serial_number.as_ref() {
            self.status.revision = Some(self.status.revision.unwrap_or_default() + 1);
        }
        self.remove_all(context).await?;
        self.forget_order(context);
        Ok(Next::Step)
    }

    /// Goes on without the order that is under way.
    pub(super) async fn abandon(&mut self, message: &str, context: &Context) -> Result<Next, Error> {
        info!(message, "the order is abandoned");
        self.give_up_authorizations().await;
        self.remove_all(context).await?;
        self.forget_order(context);
        Ok(Next::Step)
    }

    /// Removes what was presented.
    pub(super) async fn withdraw(&mut self, context: &Context) -> Result<(), Error> {
        if self.progress.presented || !self.status.challenges.is_empty() {
            presenter::withdraw(context, &self.namespace, &self.uid).await?;
        }
        self.progress.presented = false;
        self.progress.presented_at = None;
        self.progress.self_check = None;
        self.status.challenges.clear();
        Ok(())
    }

    /// Forgets the order.
    pub(super) fn forget_order(&mut self, context: &Context) {
        self.leave_place(context);
        self.status.order = None;
        self.progress = Progress::default();
    }

    async fn remove_all(&mut self, context: &Context) -> Result<(), Error> {
        let name = self.next_key_name();
        let namespace = self.namespace.clone();
        let has_key = self.next_key.is_some() || self.status.next_private_key_secret_name.is_some();
        let key = async {
            match has_key {
                true => secrets::delete(&context.client, &context.metrics, &namespace, &name).await,
                false => Ok(()),
            }
        };
        futures::try_join!(key, self.withdraw(context))?;
        self.next_key = None;
        self.status.next_private_key_secret_name = None;
        Ok(())
    }
}
