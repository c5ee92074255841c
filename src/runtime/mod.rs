//! What a long-running process needs: logs, metrics, health, leadership, shutdown, and the clock.
