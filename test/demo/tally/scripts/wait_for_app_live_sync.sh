#!/bin/bash
# Live sync detector: ends with 0 once the app works block by block.
. haf_app.sh
wait_until_live tally
