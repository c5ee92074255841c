//! Gather, act and report: the reconcile loops of the three kinds.
