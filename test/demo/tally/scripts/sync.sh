#!/bin/bash
# Sync: works through the blocks in batches for ever, each batch one transaction that also moves the app's context.
. haf_app.sh
follow 'SELECT tally.process_blocks(500)' 0.3
