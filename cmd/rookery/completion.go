package main

import (
	"github.com/spf13/cobra"

	"rookery/cmd/rookery/cli"
)

func completionVerb(s *cli.Shell) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh", Short: "print what makes a shell complete commands and flags",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"bash", "zsh"}, Annotations: cli.Exits(),
		Long:    "Prints a script that makes bash (with the package bash-completion) or zsh complete\nthe commands and flags of rookery.",
		Example: "  rookery completion bash > /etc/bash_completion.d/rookery\n  rookery completion zsh > \"${fpath[1]}/_rookery\"",
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "zsh" {
				return c.Root().GenZshCompletion(s.Out)
			}
			return c.Root().GenBashCompletionV2(s.Out, true)
		},
	}
}
