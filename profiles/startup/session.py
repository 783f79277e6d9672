"""Label each XPCS scan of this session; `RE` comes from an earlier start-up file."""

from ainerd_bluesky import install

ainerd = install(RE, "BEAMLINE")
