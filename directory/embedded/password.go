package embedded

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The cost of a new hash: some milliseconds, since this directory is for
// trying out. The cost of an old one stands in the hash.
const (
	argonTime   = 1
	argonMemory = 8 << 10 // KiB
	argonKey    = 32
	argonSalt   = 16
)

// hashPassword gives a userPassword value in OpenLDAP's form:
// {ARGON2}$argon2id$v=19$m=...,t=...,p=...$salt$key.
func hashPassword(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, argonKey)
	return fmt.Sprintf("{ARGON2}$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonTime,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// hashed reports whether a userPassword value is a hash this server can
// check; any other value is a password to be hashed.
func hashed(value string) bool {
	upper := strings.ToUpper(value)
	return strings.HasPrefix(upper, "{ARGON2}$ARGON2ID$") || strings.HasPrefix(upper, "{CRYPT}$2")
}

// checkPassword compares a password with one userPassword value.
func checkPassword(value, password string) bool {
	switch {
	case !hashed(value):
		return false
	case strings.EqualFold(value[:8], "{ARGON2}"):
		return checkArgon2(value[8:], password)
	}
	return bcrypt.CompareHashAndPassword([]byte(value[len("{CRYPT}"):]), []byte(password)) == nil
}

func checkArgon2(phc, password string) bool {
	parts := strings.Split(phc, "$") // "", argon2id, v=, m=, salt, key
	if len(parts) != 6 {
		return false
	}
	var version int
	var memory, rounds uint32
	var lanes uint8
	if n, _ := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || version != argon2.Version {
		return false
	}
	if n, _ := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &rounds, &lanes); n != 3 ||
		rounds < 1 || rounds > 16 || memory > 256<<10 || lanes < 1 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(key) < 16 || len(key) > 128 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, rounds, memory, lanes, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}

// verified remembers, for the life of the process, which password a stored
// value was last proven with, so that repeated binds cost no hashing.
type verified struct {
	secret [32]byte
	hash   chan struct{} // one slow hash at a time bounds memory

	mu    sync.Mutex
	known map[string][32]byte // stored value -> keyed digest of its password
}

// maxVerified bounds the memory; past it everything is forgotten.
const maxVerified = 100_000

func newVerified() *verified {
	v := &verified{hash: make(chan struct{}, 2), known: map[string][32]byte{}}
	rand.Read(v.secret[:])
	return v
}

func (v *verified) check(value, password string) bool {
	mac := hmac.New(sha256.New, v.secret[:])
	mac.Write([]byte(password))
	digest := [32]byte(mac.Sum(nil))
	v.mu.Lock()
	known, ok := v.known[value]
	v.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(known[:], digest[:]) == 1 {
		return true
	}
	v.hash <- struct{}{}
	good := checkPassword(value, password)
	<-v.hash
	if good {
		v.mu.Lock()
		if len(v.known) >= maxVerified {
			clear(v.known)
		}
		v.known[value] = digest
		v.mu.Unlock()
	}
	return good
}
