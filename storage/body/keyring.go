package body

import "rookery"

// Keyring holds the tenant's keys by version. The newest wraps new account
// keys; the others still open old ones.
type Keyring struct{}

// GenerateKeyring makes a keyring with one random key.
func GenerateKeyring() *Keyring { panic("unwritten") }

// LoadKeyring reads a keyring's file. KindNotFound if there is none.
func LoadKeyring(path string) (*Keyring, error) { panic("unwritten") }

// Save writes the keyring to a file of mode 0600, atomically and durably.
func (k *Keyring) Save(path string) error { panic("unwritten") }

// Rotate adds a random key and makes it the current one; it returns its version.
func (k *Keyring) Rotate() uint32 { panic("unwritten") }

// Destroy forgets the keys of a version. Account keys still wrapped by it are
// lost for ever. The current version is refused with KindDenied.
func (k *Keyring) Destroy(version uint32) error { panic("unwritten") }

// NewAccountKey makes an account's random key and its wrapped form.
func (k *Keyring) NewAccountKey(account rookery.AccountID) (*AccountKey, []byte, error) {
	panic("unwritten")
}

// OpenAccount unwraps an account's key. KindNotFound when its tenant key is
// not in the ring, KindDamaged when it does not open.
func (k *Keyring) OpenAccount(account rookery.AccountID, wrapped []byte) (*AccountKey, error) {
	panic("unwritten")
}

// Rewrap wraps an account's key under the current tenant key.
func (k *Keyring) Rewrap(account rookery.AccountID, wrapped []byte) ([]byte, error) {
	panic("unwritten")
}

// AccountKey wraps the message keys of one account and makes its thread
// tokens. It is safe for concurrent use.
type AccountKey struct{}

// WrapMessage wraps a message's key for this account.
func (a *AccountKey) WrapMessage(id rookery.EmailID, key MessageKey) []byte { panic("unwritten") }

// UnwrapMessage is the inverse of WrapMessage. KindDamaged if it does not open.
func (a *AccountKey) UnwrapMessage(id rookery.EmailID, wrapped []byte) (MessageKey, error) {
	panic("unwritten")
}

// TokenKind keeps the tokens of different things apart.
type TokenKind uint8

// The kinds of thread tokens.
const (
	TokenMessageID TokenKind = 1
	TokenSubject   TokenKind = 2
)

// ThreadToken is a keyed, truncated digest of s: equal for equal strings of one
// account, telling nothing without its key.
func (a *AccountKey) ThreadToken(kind TokenKind, s string) [8]byte { panic("unwritten") }

// MessageKey encrypts one message's body and extract.
type MessageKey [32]byte

// NewMessageKey makes a random key.
func NewMessageKey() MessageKey { panic("unwritten") }
