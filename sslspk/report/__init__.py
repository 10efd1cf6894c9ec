"""A page about trained systems that opens in any browser: what was measured, drawn, and to be listened to."""
