package habits

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// rule forbids edges from packages under from to packages under to, except
// from those under but.
type rule struct {
	from, to string
	but      []string
	why      string
}

var rules = []rule{
	{"rookery", "rookery/", nil, "the leaf of nouns is imported by all, so it imports none"},
	{"rookery/cluster", "rookery/storage", nil, "agreement carries bytes: mail is unknown to it"},
	{"rookery/cluster", "rookery/directory", nil, "agreement knows no users"},
	{"rookery/storage", "rookery/cluster", nil, "state machines are given entries and never know who agreed on them"},
	{"rookery/storage", "rookery/directory", nil, "accounts are keyed by opaque directory keys, so storage outlives any directory"},
	{"rookery/directory", "rookery/storage", nil, "who exists is decided without looking at mail"},
	{"rookery/directory", "rookery/cluster", nil, "the directory's copy is handed in by the node"},
	{"rookery/cluster", "rookery/protocols", nil, "requests go down the tree, never up"},
	{"rookery/storage", "rookery/protocols", nil, "requests go down the tree, never up"},
	{"rookery/directory", "rookery/protocols", nil, "requests go down the tree, never up"},
	{"rookery/protocols", "rookery/cluster", nil, "an edge speaks RFCs; the node hands it the log it writes to"},
	{"rookery/protocols", "rookery/cmd", nil, "only commands assemble nodes"},
	{"rookery/cluster", "rookery/cmd", nil, "only commands assemble nodes"},
	{"rookery/storage", "rookery/cmd", nil, "only commands assemble nodes"},
	{"rookery/directory", "rookery/cmd", nil, "only commands assemble nodes"},
	{"rookery/protocols/imap", "rookery/protocols/smtp", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/imap", "rookery/protocols/pop3", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/smtp", "rookery/protocols/imap", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/smtp", "rookery/protocols/pop3", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/pop3", "rookery/protocols/imap", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/pop3", "rookery/protocols/smtp", nil, "protocols meet in delivery, nowhere else"},
	{"rookery/protocols/delivery", "rookery/protocols/imap", nil, "delivery serves the edges and calls none of them"},
	{"rookery/protocols/delivery", "rookery/protocols/smtp", nil, "delivery serves the edges and calls none of them"},
	{"rookery/protocols/delivery", "rookery/protocols/pop3", nil, "delivery serves the edges and calls none of them"},
	{"rookery/protocols/signin", "rookery/protocols/imap", nil, "the protocols ask for a sign-in; it calls none of them"},
	{"rookery/protocols/signin", "rookery/protocols/pop3", nil, "the protocols ask for a sign-in; it calls none of them"},
	{"rookery/protocols/signin", "rookery/protocols/smtp", nil, "the protocols ask for a sign-in; it calls none of them"},
	{"rookery/protocols/signin", "rookery/storage", nil, "a sign-in ends with an account's id; the session opens it"},
	{"rookery/protocols/imap", "rookery/directory", nil, "only signin asks who somebody is"},
	{"rookery/protocols/listen", "rookery/protocols/", nil, "a listener knows no protocol"},
	{"rookery", "github.com/pires/go-proxyproto", []string{"rookery/protocols/listen", "rookery/test"}, "one place says who the client is"},
	{"rookery/protocols/policy", "rookery/protocols/", nil, "a verdict knows no protocol and no storage; sessions and delivery ask for it"},
	{"rookery/protocols/relay", "rookery/storage", nil, "a grant is given by rules and rows that are handed in"},
	{"rookery/protocols/relay", "rookery/protocols/smtp", nil, "the session asks for a grant; it calls no session"},
	{"rookery/protocols/policy", "rookery/storage", nil, "a verdict knows no protocol and no storage; sessions and delivery ask for it"},
	{"rookery/protocols/outbound/dsn", "rookery/protocols/", nil,
		"a notification is composed of what it is handed; who queues and sends it is theirs"},
	{"rookery/protocols/outbound/dsn", "net", nil, "composing is pure"},
	{"rookery/protocols/outbound/tlspolicy", "rookery/storage", nil, "a policy is kept by the cache that is handed in"},
	{"rookery/protocols/outbound/tlsreport", "rookery/storage", nil, "sessions are counted without knowing what was sent in them"},
	{"rookery/protocols/outbound/destination", "rookery/protocols/outbound/", nil, "where mail goes is found without knowing how it is sent"},
	{"rookery/protocols/outbound/destination", "rookery/storage", nil, "where mail goes is found without knowing what is sent"},
	{"rookery/protocols/outbound/session", "rookery/protocols/smtp", nil, "a client and a server of SMTP share RFCs, not code"},
	{"rookery/protocols/outbound/session", "rookery/protocols/delivery", nil, "a session sends what it is handed, and files nothing"},
	{"rookery/protocols/outbound/session", "rookery/storage", nil, "a session sends what it is handed, and files nothing"},
	{"rookery/protocols/dns", "rookery/protocols/", nil, "a resolver does not know what its answers are for"},
	{"rookery/protocols/dns", "rookery/storage", nil, "a resolver does not know what its answers are for"},
	{"rookery/protocols/dns", "rookery/directory", nil, "a resolver does not know what its answers are for"},
	{"rookery", "github.com/miekg/dns", []string{"rookery/protocols/dns", "rookery/test"},
		"one resolver bounds what is asked and never takes a failure for \"there is none\""},
	{"rookery/protocols/outbound/dkim", "rookery/protocols/", nil,
		"a message is signed as it is handed in; who queues and sends it is theirs"},
	{"rookery/protocols/outbound/dkim", "net", nil, "signing asks no DNS: records are published by others"},
	{"rookery/protocols/outbound/sevenbit", "rookery/protocols/", nil, "a message is rewritten without knowing where it goes"},
	{"rookery/protocols/outbound/srs", "rookery/protocols/", nil, "rewriting a sender is arithmetic on an address"},
	{"rookery/protocols/outbound/publish", "rookery/protocols/dns", nil, "what to publish is compared through the resolver that is handed in"},
	{"rookery", "rookery/test", []string{"rookery/test"}, "the product does not depend on its tests"},
	{"rookery/cmd/node/adminapi", "rookery/cmd", nil, "a verb that prints a table imports no server"},
	{"rookery/cmd/node/adminapi", "rookery/cluster", nil, "a verb that prints a table imports no server"},
	{"rookery/cmd/node/adminapi", "rookery/protocols", nil, "a verb that prints a table imports no server"},
	{"rookery/cmd/node/adminapi", "rookery/directory", nil, "a verb that prints a table imports no server"},
	{"rookery/cmd/node/datadir", "rookery/protocols", nil, "a data directory is made, read and recovered while nothing serves from it"},
	{"rookery/cmd/node/datadir", "rookery/directory", nil, "a data directory is made, read and recovered while nothing serves from it"},
	{"rookery", "rookery/cluster/gossip", []string{"rookery/cluster/gossip", "rookery/cmd/node/peers"}, "who lives is judged in one place"},
	{"rookery/cmd/node/objects", "rookery/directory", nil, "the object store knows no users"},
	{"rookery/cmd/node/objects", "rookery/protocols", nil, "the object store knows no sessions"},
	{"rookery/cmd/node/keyring", "rookery/protocols", nil, "keys are held and changed without knowing who is served"},
	{"rookery/cmd/node/members", "rookery/protocols", nil, "who belongs to the cluster is decided without knowing who is served"},
	{"rookery/cmd/node/members", "rookery/directory", nil, "nodes are no people"},
	{"rookery/cmd/node/moves", "rookery/protocols", nil, "an account moves without knowing who has it open"},
	{"rookery/cmd/node/signing", "rookery/protocols/delivery", nil, "what signs knows no way of messages"},
	{"rookery/cmd/node/signing", "rookery/cmd/node/keyring", nil, "keys are sealed by what is handed in"},
	{"rookery/cmd/node/records", "rookery/protocols/dns", nil, "what to publish is compared through the resolver that is handed in"},
	{"rookery/cmd/node/directories", "rookery/cluster", nil, "directories are opened and tried without a cluster"},
	{"rookery/cmd/node/directories", "rookery/storage", nil, "directories know no account"},
	{"rookery/cmd/node/inforce", "rookery/protocols", nil, "what a setting does is decided by who asks for it"},
	{"rookery/cmd/node/admin", "rookery/protocols", nil, "operators ask services; how clients are served is theirs"},
	{"rookery/cmd/node/admin", "rookery/cluster", nil, "operators ask services; Raft is theirs"},
	{"rookery/cmd/node/datadir", "rookery/cmd/node/adminapi", nil,
		"a data directory is made, read and recovered while nothing serves from it"},
	{"rookery/cmd/node/edge", "rookery/cmd/node/members", nil, "the edge asks whether a group may run here; it knows no placement"},
	{"rookery/cmd/node/edge", "rookery/cmd/node/objects", nil, "the edge reads mail through accounts, wherever it lies"},
	{"rookery/cmd/node/edge", "rookery/cmd/node/directories", nil, "the edge asks a directory and knows no way to one"},
	{"rookery/cmd/node/admin", "rookery/cmd/node/keyring", nil, "the administration asks services through what it declares"},
	{"rookery/cmd/node/admin", "rookery/cmd/node/objects", nil, "the administration asks services through what it declares"},
	{"rookery/cmd/node/replicas", "rookery/directory", nil, "groups agree on commands without knowing users"},
	{"rookery/cmd/node/replicas", "rookery/protocols", nil, "groups agree on commands without knowing who sends them"},
	{"rookery/cmd/node/peers", "rookery/directory", nil, "who the other nodes are is not decided by a directory"},
	{"rookery", "github.com/spf13/", []string{"rookery/cmd/rookery"}, "the command line is one package"},
	{"rookery", "github.com/go-ldap/", []string{"rookery/directory/ldap", "rookery/directory/embedded"},
		"LDAP's traps (no timeouts, changed identities) are handled in one place; the embedded server uses its filter compiler"},
	{"rookery", "golang.org/x/net/idna", []string{"rookery"},
		"its effort grows with the square of a name's length; NormalDomain has the bound"},
	{"rookery", "github.com/jimlambrt/gldap", []string{"rookery/directory/embedded"}, "only the embedded server serves LDAP"},
	{"rookery", "github.com/emersion/go-smtp", []string{"rookery/test"},
		"its client and its server are unfit (decisions 30 and 36); it is a peer for tests"},
	{"rookery", "github.com/hashicorp/raft", []string{"rookery/cluster/consensus", "rookery/cluster/log"},
		"Raft's traps are handled in one place; the log speaks its entry type"},
	{"rookery", "github.com/hashicorp/memberlist", []string{"rookery/cluster/gossip"}, "gossip is a hint, so one package listens to it"},
	{"rookery", "github.com/minio/", []string{"rookery/storage/blob/s3", "rookery/test/harness"}, "only one driver touches a network"},
	{"rookery", "github.com/cockroachdb/pebble",
		[]string{"rookery/storage/state", "rookery/cluster/log", "rookery/cmd/node", "rookery/test/faultdisk"},
		"one package owns the database; the log shares its file system seam"},
	{"rookery", "github.com/prometheus/", []string{"rookery/cmd/node/monitor"},
		"packages count in their own terms; the monitor names the metrics"},
	{"rookery/storage/search", "rookery/storage/body", nil, "what matches is decided without keys: who searches hands the contents in"},
	{"rookery/storage/message", "rookery/storage/keys", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/storage/message", "rookery/storage/body", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/storage/message", "rookery/storage/state", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/storage/message", "rookery/storage/mailbox", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/storage/message", "rookery/storage/pack", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/storage/message", "rookery/storage/blob", nil,
		"what a message says is read without knowing where it lies or how it is encrypted"},
	{"rookery/cluster/transport/identity", "rookery/cluster", nil, "who a node is does not depend on how it is reached"},
	{"rookery/storage/pack/read", "rookery/storage/pack/check", nil, "a read serves whoever reads mail and judges no store"},
	{"rookery/storage/pack/check", "rookery/storage/pack/read", nil, "a check reads the store itself: a cache would hide what is wrong in it"},
	{"rookery/storage/keys", "rookery/storage", nil, "keys are made, wrapped and kept without knowing what they open"},
	{"rookery/backup", "rookery/protocols", nil, "what comes back is never judged and never sent"},
	{"rookery/backup", "rookery/directory", nil, "accounts are archived and restored by id; who they belong to is asked elsewhere"},
	{"rookery/backup", "rookery/cmd", nil, "only commands assemble nodes"},
	{"rookery/cluster", "rookery/backup", nil, "agreement does not know that it is archived"},
	{"rookery/storage", "rookery/backup", nil, "state machines do not know that they are archived"},
	{"rookery/backup/export", "rookery/backup/", nil, "files are written without knowing where the messages come from"},
	{"rookery/backup/export", "net", nil, "an export is files on this machine's disk"},
	{"rookery/backup/verify", "rookery/cluster", nil, "an archive is verified without the cluster that it is of"},
	{"rookery/storage/mailbox", "time", nil, "a state machine has no clock of its own"},
	{"rookery/storage/mailbox", "math/rand", nil, "a state machine has no randomness"},
	{"rookery/storage/queue", "rookery/storage/mailbox", nil, "the queue is a part of the mail group's machine and knows no account"},
	{"rookery/storage/queue", "time", nil, "a state machine has no clock of its own"},
	{"rookery/storage/holds", "rookery/storage/mailbox", nil, "holds are a part of the mail group's machine and know no account"},
	{"rookery/storage/holds", "time", nil, "a state machine has no clock of its own"},
	{"rookery/storage/habit", "time", nil, "a state machine has no clock of its own"},
	{"rookery/storage/system", "math/rand", nil, "a state machine has no randomness"},
}

// layers are the packages of a node, from the ground up: each knows those of
// layers below its own alone. What a package needs of one beside it, it declares
// as an interface, and the node hands it in.
var layers = [][]string{
	{"adminapi", "settings"},
	{"datadir"},
	{"peers"},
	{"replicas"},
	{"keyring", "members", "moves", "objects", "clients", "directories", "elected"},
	{"inforce", "edge", "monitor", "admin"},
}

// layered are the rules of layers.
func layered() (rules []rule) {
	const node = "rookery/cmd/node/"
	for i, layer := range layers {
		for _, from := range layer {
			for _, above := range layers[i:] {
				for _, to := range above {
					if from != to {
						rules = append(rules, rule{node + from, node + to, nil,
							"services know the kernel and never each other, and nothing below them knows them"})
					}
				}
			}
		}
	}
	return rules
}

func TestForbiddenImports(t *testing.T) {
	type pkg struct {
		ImportPath string
		Imports    []string
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "rookery/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := append(layered(), rules...)
	dec := json.NewDecoder(strings.NewReader(string(out)))
	n := 0
	for dec.More() {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		n++
		for _, imp := range p.Imports {
			for _, r := range all {
				if r.forbids(p.ImportPath, imp) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.why)
				}
			}
		}
	}
	if n < 10 {
		t.Fatalf("go list saw only %d packages: the test looks at too little", n)
	}
}

func (r rule) forbids(from, to string) bool {
	if r.from == "rookery" && r.to == "rookery/" {
		return from == "rookery" && strings.HasPrefix(to, "rookery/")
	}
	for _, b := range r.but {
		if under(from, b) {
			return false
		}
	}
	return under(from, r.from) && under(to, strings.TrimSuffix(r.to, "/"))
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
