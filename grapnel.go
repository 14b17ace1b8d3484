package grapnel

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/cli"
)

// Main runs the command that the program's arguments name, with the handlers that the given
// functions bind, and exits with its code. It is all that an adopter's main has to call.
func Main(bind ...handler.Bind) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal ends the process the ordinary way.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Program{
		Args: os.Args[1:],
		World: app.World{
			Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Bind: bind,
		},
	}.Run(ctx))
}
