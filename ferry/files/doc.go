// Package files lets plain files cross a ferry: what is put into a folder on one side comes
// out in a folder on the other, each file exactly once, whole and in order.
//
// A Source takes files from a folder and sends them; a Sink is the Inlet that writes what
// arrives. Both keep their place in the folders themselves, so that a crash between any two
// steps neither loses nor doubles a file.
//
// Nothing here logs. File names travel, and are the only thing of a file that errors name.
package files
