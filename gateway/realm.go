package gateway

// Realm separates the gateway's sessions from those of other managers on the same store. It does not
// depend on how cookies are named, so that a manager without a listener (an operator's command) finds
// the same sessions.
const Realm = "gateway"
