package command

// GossipStage is how far a change of the gossip key is.
type GossipStage uint8

// The stages, in order. From one to the next the cluster waits until every
// node that lives has taken it.
const (
	// GossipSettled has one key.
	GossipSettled GossipStage = 0
	// GossipInstall has the new key behind the old one, which encrypts.
	GossipInstall GossipStage = 1
	// GossipUse has the new key before the old one, which is still read.
	GossipUse GossipStage = 2
)

// String names the stage for operators.
func (s GossipStage) String() string {
	switch s {
	case GossipSettled:
		return "settled"
	case GossipInstall:
		return "installing"
	case GossipUse:
		return "using"
	}
	return "unknown"
}

// MaxGossipKey bounds a sealed key in bytes.
const MaxGossipKey = 256

// SetGossipKeys replaces the ring of gossip keys if it still has the version
// expected (0: none yet), else KindConflict.
type SetGossipKeys struct {
	Version uint64      `cbor:"1,keyasint,omitempty"`
	Stage   GossipStage `cbor:"2,keyasint,omitempty"`
	// Keys are sealed under the settings key; the first encrypts.
	Keys []string `cbor:"3,keyasint,omitempty"`
}

// Touches implements Command.
func (*SetGossipKeys) Touches() Touch { return Touch{Kind: TouchNone} }
