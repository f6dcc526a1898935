import { useSyncExternalStore } from 'react';
import { live } from '../api/live';
import { useConsole } from '../console';
import { Button, IconButton, Tip } from '../ui/controls';
import { Icon } from '../ui/icon';
import { toggleTheme, useTheme } from '../ui/theme';
import { Account } from './account';
import { Brand } from './brand';

export function TopBar({ running, onMenu, menuOpen }: { running: number; onMenu: () => void; menuOpen: boolean }) {
  const { openPalette, openJob, session } = useConsole();
  const theme = useTheme();
  return (
    <header className="top">
      <IconButton className="menu-button" icon="menu" label="Navigation" aria-expanded={menuOpen} onPress={onMenu} />
      <Brand site={session.site} />
      <span className="top-space" />
      <LiveMark />
      <Button className="palette-button" icon="search" onPress={openPalette} aria-keyshortcuts="Control+K">
        <span className="palette-text">Search or run a command</span>
        <kbd aria-hidden="true">Ctrl K</kbd>
      </Button>
      <Tip text={running === 0 ? 'Jobs' : `${running} running`}>
        <Button className={`jobs-button ${running > 0 ? 'busy' : ''}`} onPress={() => openJob()}>
          <Icon name={running > 0 ? 'spinner' : 'list'} size={16} className={running > 0 ? 'turning' : ''} />
          <span className="jobs-text">Jobs</span>
          {running > 0 && <><b className="badge">{running}</b><span className="unseen">running</span></>}
        </Button>
      </Tip>
      <IconButton kind="plain" icon={theme === 'dark' ? 'sun' : 'moon'} label={theme === 'dark' ? 'Light theme' : 'Dark theme'} onPress={toggleTheme} />
      <Account />
    </header>
  );
}

function LiveMark() {
  const state = useSyncExternalStore(live.watchState, () => live.state);
  if (state !== 'lost') return null;
  return (
    <span className="live-lost" role="status">
      <Icon name="alert" size={14} />
      <span>Live updates paused, reconnecting</span>
    </span>
  );
}
