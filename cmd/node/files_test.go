package node

import "time"

// The files of a data directory that tests take away, put back and look at.
const (
	identityFile   = "node.json"
	certificateDir = "identity"
	tenantKeys     = "keys/tenant.json"
	settingsKeys   = "keys/settings.key"
	lineageFile    = "lineage.json"
	supersededFile = "superseded"
	recoveryFile   = "recovery.json"
)

// advanceEvery is how often a running node's directory moves on.
const advanceEvery = 30 * time.Second

// promptAfter is how long a replica may hear by itself of what was agreed on.
const promptAfter = 2 * time.Millisecond
