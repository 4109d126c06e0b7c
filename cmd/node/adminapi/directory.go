package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// DirectoryCopy is how the cluster's copy of a directory stands.
type DirectoryCopy struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	// Followed is false of a directory that cannot be followed: each name is looked up
	// there when it is needed.
	Followed bool `json:"followed"`
	// By is the node that follows it, Problem what keeps it from that.
	By      string `json:"followed_by"`
	Problem string `json:"problem"`
	// AsOf is when the copy last was what the directory was, Lag how many seconds ago;
	// FullRead is when everything was last read. Null: never.
	AsOf     *time.Time `json:"as_of"`
	Lag      int64      `json:"lag_seconds"`
	FullRead *time.Time `json:"last_full_read"`
	// Reading is that everything is being read.
	Reading  bool   `json:"reading"`
	Entries  uint32 `json:"entries"`
	Vanished uint32 `json:"vanished"`
	// Conflicts are addresses and logins that more than one entry has, the first few
	// of them.
	Conflicts     []string `json:"conflicts"`
	ConflictCount uint32   `json:"conflict_count"`
	// Pending is what waits for approval; null where nothing does.
	Pending *PendingChanges `json:"pending"`
}

// PendingChanges are those that the brake holds, because too many entries would lose
// something.
type PendingChanges struct {
	// Number names them as they are now: what is approved is what was shown.
	Number uint64    `json:"number"`
	Count  uint32    `json:"count"`
	Since  time.Time `json:"since"`
	// Changes are the first few of them.
	Changes []PendingChange `json:"changes"`
}

// PendingChange is one entry's.
type PendingChange struct {
	Key   string `json:"key"`
	Entry string `json:"entry"`
	// What is "vanishes", "changes addresses" or "loses attributes".
	What string `json:"what"`
	// Lost are the attributes and addresses that it would lose, Gained the addresses
	// that it would get.
	Lost   []string `json:"lost"`
	Gained []string `json:"gained"`
}

// PendingOrder approves or rejects the changes with a number.
type PendingOrder struct {
	Number uint64 `json:"number"`
}

// PendingSettled says how many changes were made, or forgotten.
type PendingSettled struct {
	Directory string `json:"directory"`
	Changes   uint32 `json:"changes"`
}

// Directories says how the copies of all directories of the settings stand.
func (c *Client) Directories(ctx context.Context) (all []DirectoryCopy, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/directories", nil, &all)
	return all, err
}

// SettleDirectory makes the changes of a directory that wait, or forgets them.
// KindNotFound: none wait, or there is no such directory; KindConflict: others wait
// than those with the number.
func (c *Client) SettleDirectory(ctx context.Context, name string, approve bool, number uint64) (done PendingSettled, err error) {
	verb := "/reject"
	if approve {
		verb = "/approve"
	}
	err = c.call(ctx, http.MethodPost, "/v1/directories/"+url.PathEscape(name)+verb, PendingOrder{number}, &done)
	return done, err
}
