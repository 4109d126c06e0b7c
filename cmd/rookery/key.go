package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rookery"
	"rookery/cmd/node"
)

const keyLong = `Shows and changes the keys that open mail. Every message has a key of its own,
wrapped by its account's key, which a version of the tenant key wraps; the tenant
key lies on the nodes alone, in a file or sealed by keys.command.

  status            versions, which nodes hold them and how many accounts each
                    wraps, erasures under way, what is wrong (then exit code 1)
  rotate            brings a new tenant key into use: on every node first, then
                    used; all account keys are rewrapped, no body is rewritten
  rotate -account A gives one account (an address or an id) a new key of its own
  destroy [VERSION] destroys an old tenant key, or all old ones, on every node;
                    refused while a node does not answer (exit code 5) or an
                    account is still wrapped under it (exit code 4)
  kit FILE          writes a new recovery kit, to keep off the cluster: one from
                    before a rotation lacks the new key
  restore FILE      puts the files below keys and identity that the directory of a
                    stopped node lacks back from a recovery kit; what is there
                    stays. Exit code 2: a kit of another cluster, or none; 3: the
                    directory has no node.json; 4: nothing is missing, the node
                    runs, or the kit lacks a tenant key in use (-partial goes on)

Example: rookery key rotate -data /var/lib/rookery && rookery key status -data /var/lib/rookery`

func keyVerb() verb {
	v := verb{name: "key", args: "status|rotate [-account A]|destroy [VERSION]|kit FILE|restore FILE [-partial] [-data DIR | -socket PATH] [-yes] [--json]", short: "show, rotate and destroy encryption keys", long: keyLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		account := f.String("account", "", "rotate the key of this account, an address or an id, instead of the tenant key")
		yes := f.Bool("yes", false, "destroy without asking")
		partial := f.Bool("partial", false, "restore also from a kit that lacks a tenant key in use")
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			return usagef("needs status, rotate, destroy, kit or restore")
		}
		k := keyOrder{shell: s, admin: admin().Patient(keyPatience), json: *asJSON, yes: *yes, account: *account, data: f.Lookup("data").Value.String()}
		switch order, rest := rest[0], rest[1:]; {
		case order == "status" && len(rest) == 0:
			return k.status(ctx)
		case order == "rotate" && len(rest) == 0:
			return k.rotate(ctx)
		case order == "destroy" && len(rest) <= 1:
			return k.destroy(ctx, rest)
		case order == "kit" && len(rest) == 1:
			return k.kit(rest[0])
		case order == "restore" && len(rest) == 1:
			return k.restore(rest[0], *partial)
		}
		return usagef("knows status, rotate, destroy [VERSION], kit FILE and restore FILE")
	}
	return v
}

// keyPatience is how long an order about keys may take: nodes may have to run
// a command each and write their files.
const keyPatience = 3 * time.Minute

type keyOrder struct {
	*shell
	admin         *node.AdminClient
	json, yes     bool
	account, data string
}

func (k keyOrder) print(v any) error {
	enc := json.NewEncoder(k.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (k keyOrder) status(ctx context.Context) error {
	st, err := k.admin.Keys(ctx)
	if err != nil {
		return err
	}
	if k.json {
		err = k.print(st)
	} else {
		err = k.table(st)
	}
	if err == nil && len(st.Problems) > 0 {
		err = rookery.E("key status", rookery.KindDenied, fmt.Errorf("%d problems", len(st.Problems)))
	}
	return err
}

func (k keyOrder) table(st node.KeyStatus) error {
	w := tabwriter.NewWriter(k.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "TENANT KEY\tSTATE\tSINCE\tACCOUNTS\tFINGERPRINT\n")
	for _, v := range st.Versions {
		since := "the beginning"
		switch {
		case v.Destroyed != nil:
			since = v.Destroyed.Format(time.RFC3339)
		case v.Since != nil:
			since = v.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", v.Version, v.State, since, v.Accounts, dash(v.Fingerprint))
	}
	fmt.Fprint(w, "\nNODE\tSOURCE\tUSES\tHOLDS\n")
	for _, n := range st.Nodes {
		held := make([]string, len(n.Held))
		for i, v := range n.Held {
			held[i] = strconv.FormatUint(uint64(v), 10)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", n.Name, dash(n.Source), n.InUse, dash(strings.Join(held, ", ")))
	}
	if st.Rotating > 0 {
		fmt.Fprintf(w, "\n%d accounts change from one key of their own to another\n", st.Rotating)
	}
	if len(st.Erasures) > 0 {
		fmt.Fprintf(w, "\n%d accounts are being erased: %s\n", len(st.Erasures), st.Progress)
	}
	for _, p := range st.Problems {
		fmt.Fprintf(w, "\nwrong: %s", p)
	}
	if len(st.Problems) > 0 {
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func (k keyOrder) rotate(ctx context.Context) error {
	if k.account != "" {
		id, err := k.admin.RotateAccountKey(ctx, k.account)
		if err != nil {
			return err
		}
		if k.json {
			return k.print(map[string]string{"account": id})
		}
		_, err = fmt.Fprintf(k.out, "account %s has a new key; its messages are rewrapped under it, see rookery key status\n", id)
		return err
	}
	r, err := k.admin.RotateKey(ctx)
	if err != nil {
		return err
	}
	if k.json {
		return k.print(r)
	}
	fmt.Fprintf(k.out, "tenant key %d is in use; account keys are rewrapped under it, see rookery key status\n", r.Version)
	if len(r.Without) > 0 {
		fmt.Fprintf(k.out, "these nodes are down and fetch it when they are back: %s\n", strings.Join(r.Without, ", "))
	}
	_, err = fmt.Fprint(k.out, "Next: rookery key kit FILE; earlier recovery kits lack this key\n")
	return err
}

func (k keyOrder) destroy(ctx context.Context, rest []string) error {
	var versions []uint32
	what := "all tenant keys but the one in use"
	if len(rest) == 1 {
		v, err := strconv.ParseUint(rest[0], 10, 32)
		if err != nil || v == 0 {
			return usagef("%q is no version; see rookery key status", rest[0])
		}
		versions = append(versions, uint32(v))
		what = fmt.Sprintf("tenant key %d", v)
	}
	if err := confirm(ctx, k.yes, fmt.Sprintf("This destroys %s on every node, for ever. Backups and recovery kits from before open nothing any more that only it wraps.", what), "destroy"); err != nil {
		return err
	}
	destroyed, err := k.admin.DestroyKeys(ctx, versions...)
	if err != nil {
		return err
	}
	if k.json {
		return k.print(map[string]any{"destroyed": destroyed})
	}
	if len(destroyed) == 0 {
		_, err = fmt.Fprint(k.out, "there is no old tenant key\n")
		return err
	}
	_, err = fmt.Fprintf(k.out, "destroyed: %v\nNext: destroy the recovery kits and copies of key files from before; they still hold it\n", destroyed)
	return err
}

func (k keyOrder) kit(path string) error {
	if exists(path) {
		return rookery.E("write recovery kit", rookery.KindExists, fmt.Errorf("%s exists; name another file", path))
	}
	if err := node.WriteRecoveryKit(k.data, path, time.Now()); err != nil {
		return err
	}
	if k.json {
		return k.print(map[string]string{"kit": path})
	}
	_, err := fmt.Fprintf(k.out, "Recovery kit: %s\n  Move it off this machine now, and destroy the older ones: who has one can read all mail.\n", path)
	return err
}

// confirm has the operator type a word at the terminal, unless told not to.
func confirm(ctx context.Context, yes bool, what, word string) error {
	if yes {
		return nil
	}
	t, ok := openTerminal()
	if !ok {
		return usagef("asks before it does this, and there is no terminal: add -yes")
	}
	defer t.Close()
	t.say("%s", what)
	said, err := t.ask(ctx, fmt.Sprintf("Type %q to go on", word), "")
	if err != nil {
		return err
	}
	if said != word {
		return rookery.E("confirm", rookery.KindDenied, fmt.Errorf("%q is not %q: nothing was done", said, word))
	}
	return nil
}
