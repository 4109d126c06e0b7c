package adminapi

import (
	"context"
	"encoding/json"
	"time"

	"rookery"
)

// DictionaryStatus is one dictionary as operators see it.
type DictionaryStatus struct {
	ID rookery.DictionaryID `json:"id"`
	// Source is "built-in" or "site".
	Source string `json:"source"`
	Size   int    `json:"size"`
	// Messages, Accounts, Before and After are as in Training.
	Messages int `json:"messages,omitempty"`
	Accounts int `json:"accounts,omitempty"`
	Before   int `json:"before,omitempty"`
	After    int `json:"after,omitempty"`
	// Trained and Adopted are zero where it does not apply.
	Trained time.Time `json:"trained,omitzero"`
	Adopted time.Time `json:"adopted,omitzero"`
	// Key is the tenant key version that it is sealed under.
	Key uint32 `json:"tenant_key,omitempty"`
	// Current says that new mail is compressed with it on the node asked.
	Current bool `json:"current"`
	// Bodies use it, of Received bytes, stored as Stored.
	Bodies   int64 `json:"bodies"`
	Received int64 `json:"received_bytes"`
	Stored   int64 `json:"stored_bytes"`
}

// DictionariesStatus is what rookery storage dictionary shows.
type DictionariesStatus struct {
	// Dictionaries begin with number 0: what is stored without one.
	Dictionaries []DictionaryStatus `json:"dictionaries"`
	// Uncounted are the groups whose bodies nobody could count now.
	Uncounted []rookery.GroupID `json:"uncounted_groups"`
}

// Training is what became of an attempt to train a dictionary.
type Training struct {
	Messages int `json:"messages"`
	Accounts int `json:"accounts"`
	// Before and After are what held-out mail takes, in thousandths of what was
	// received, with what is in use and with the new dictionary.
	Before int `json:"before"`
	After  int `json:"after"`
	// ID is the new dictionary's, 0 where it was not worth keeping.
	ID rookery.DictionaryID `json:"id,omitempty"`
	// Adopted says that new mail is compressed with it; else it will be once
	// every node has it.
	Adopted bool `json:"adopted"`
	// Why says what came in between.
	Why string `json:"why,omitempty"`
}

// Dictionaries lists the dictionaries and counts what uses them.
func (c *Client) Dictionaries(ctx context.Context) (s DictionariesStatus, err error) {
	err = c.callStream(ctx, "/v1/storage/dictionaries", struct{}{}, func(b json.RawMessage) error { return json.Unmarshal(b, &s) })
	return s, err
}

// TrainDictionary has the node sample mail and train a dictionary now.
func (c *Client) TrainDictionary(ctx context.Context) (t Training, err error) {
	err = c.callStream(ctx, "/v1/storage/train", struct{}{}, func(b json.RawMessage) error { return json.Unmarshal(b, &t) })
	return t, err
}
