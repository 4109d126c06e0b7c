package peers

// SettingsTrial are settings that a node is to try before they are written:
// their document, with sealed secrets, and what of it is new.
type SettingsTrial struct {
	Document    string   `cbor:"1,keyasint"`
	Directories []string `cbor:"2,keyasint,omitempty"`
	Store       bool     `cbor:"3,keyasint,omitempty"`
}

// TrialResult says what does not work, and from which node; nothing where all
// does.
type TrialResult []string
