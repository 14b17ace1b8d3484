// Command grapnel receives webhooks and sees to it that each is handled.
package main

import "github.com/grapnel/grapnel"

func main() { grapnel.Main() }
