// Command grapnel receives webhooks and sees to it that each is handled.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/grapnel/grapnel/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal ends the process the ordinary way.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Program{
		Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}.Run(ctx))
}
