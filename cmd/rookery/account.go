package main

import "context"

func accountVerb() verb {
	v := verb{name: "account", args: "erase ACCOUNT... [-data DIR | -socket PATH] [-from FILE] [-yes] [-timeout TIME] [--json]", short: "erase accounts", long: accountEraseLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		if len(args) > 0 && args[0] == "erase" {
			return accountErase(ctx, s, f, args[1:])
		}
		adminFlags(f)
		if err := parse(f, args); err != nil {
			return err
		}
		return usagef("knows one order: erase")
	}
	return v
}
